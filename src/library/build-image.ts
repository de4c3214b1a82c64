// Builds an image for a program in Node. The command does it, as a process of its own: it may enter namespaces and mount,
// which would change the caller's process, and as an ordinary user it has to start anew in any case. It ends with the caller.
import { fileURLToPath } from 'node:url';
import { BuildError } from '../errors.ts';
import { parentMark } from '../host/parent.ts';
import { runProgram } from '../host/process.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { argumentsOf, type ImageBuild } from './image-build.ts';
import { type Message, Messages } from './messages.ts';

export interface BuiltImage {
  /** Digest of the config, as docker shows it; of the index when there are several platforms. */
  readonly id: string;
  /** Manifest or index as the last output wrote it; absent when no output has one. */
  readonly descriptor?: Descriptor;
  /** Complete names: `docker.io/library/app:latest`. */
  readonly names: readonly string[];
  /** Where the outputs went, for people. */
  readonly places: readonly string[];
  readonly cachedSteps: number;
  readonly totalSteps: number;
}

/** Beside the bundled library. */
const program = fileURLToPath(new URL('./start.cjs', import.meta.url));

/**
 * Builds an image and delivers it where the outputs say.
 * @throws BuildError what the command says: `code`, `message`, `hint`, `output` (the last lines of a failed RUN),
 *   `diagnostics` (what else is wrong), and the facts with `file`, `line` and `column` of its place; `interrupted` on abort
 */
export async function buildImage(build: ImageBuild): Promise<BuiltImage> {
  const { args, secrets } = argumentsOf(build);
  const messages = new Messages(build);
  const end = await runProgram([process.execPath, program, ...args], {
    env: { ...definedOf(build.env ?? process.env), ...secrets, [parentMark]: String(process.pid) },
    onOutput: (stream, chunk) => {
      if (stream === 'stderr') messages.add(chunk);
    },
    stopSignal: 'SIGTERM',
    ...(build.cwd === undefined ? {} : { cwd: build.cwd }),
    ...(build.signal === undefined ? {} : { signal: build.signal }),
    ...(build.stdin === undefined ? {} : { stdin: build.stdin }),
  });
  messages.end();
  if (end.status !== 0) throw failureOf(messages, end.signal);
  if (messages.result === undefined) throw new BuildError('internal', 'the build said nothing of its result');
  const { kind: _, atMs: __, tookMs: ___, ...image } = messages.result;
  return image as unknown as BuiltImage;
}

function definedOf(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

function failureOf({ error, text }: Messages, signal: NodeJS.Signals | undefined): BuildError {
  if (error === undefined) {
    const message = text.trim() || `the build was ended by ${signal ?? 'something else'}`;
    return new BuildError(signal === undefined ? 'usage' : 'interrupted', message.replace(/^error: /, ''));
  }
  return new BuildError(error.code, error.message, {
    facts: { ...error.facts, ...placeOf(error) },
    output: error.output ?? [],
    diagnostics: (error.diagnostics ?? []).map(({ range: _, ...diagnostic }) => diagnostic),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

function placeOf({ range }: Extract<Message, { kind: 'error' }>) {
  return range ? { file: range.file, line: range.start.line, column: range.start.column } : {};
}
