// Starts programs of this machine: an argument list and an environment, never a shell. Everything that slipway starts
// (git, xz, runc) goes through here.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { check, declareC } from './ffi.ts';
import { openFlags } from './fs-calls.ts';

export interface ProgramLimits {
  /** stdout and stderr together; more ends the program and the call fails. Default: no limit. */
  readonly outputBytes?: number;
  /** Milliseconds after which the program is ended and the call fails. Default: no limit. */
  readonly timeMs?: number;
}

/**
 * Gets ready to watch, before the program is started; what it gives then sees to it that a process group ends should this
 * process be killed, until it is disposed of. It is given by who can: no room as low as this one.
 */
export type WatchProgram = () => Promise<(group: number) => AsyncDisposable>;

export interface ProgramOptions {
  /** What the program reads; default nothing (/dev/null). */
  readonly stdin?: Uint8Array | string;
  /** The whole environment. Default: PATH alone, as this process has it. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default: that of this process. */
  readonly cwd?: string;
  /** Ends the program and everything in its process group, with `stopSignal`. */
  readonly signal?: AbortSignal;
  /** Default SIGKILL. A program that ends by itself upon another one may clean up first. */
  readonly stopSignal?: NodeJS.Signals;
  /** Receives output as it comes; what it throws ends the program and is thrown. Default: output is thrown away. */
  onOutput?(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  readonly limits?: ProgramLimits;
  /** Open files that the program gets as its descriptors 3, 4, ...; no others but 0, 1 and 2 reach it. */
  readonly inherit?: readonly number[];
  /**
   * Gives the program pipes. Node's own are sockets, which a program cannot open anew as /dev/stdout or /proc/self/fd/1.
   * Default false.
   */
  readonly plainPipes?: boolean;
  /** For programs that may run long. Default: when this process is killed, what it started goes on. */
  readonly watch?: WatchProgram;
  /** Called when the program itself has ended, before waiting for others who still hold its output open. */
  onExit?(): Promise<void>;
}

/** How a program ended: `status` is undefined when a signal ended it, and the other way around. */
export interface ProgramEnd {
  readonly status: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/**
 * Runs a program to its end, in a process group of its own (a ctrl-C on the terminal reaches slipway only).
 * @param argv program (a path, or a name looked up in PATH of `options.env`) and its arguments
 * @throws BuildError `not-found` when there is no such program, `sandbox` when it cannot be started,
 *   `interrupted` on abort, `hostile` past a limit
 */
export async function runProgram(argv: readonly string[], options: ProgramOptions = {}): Promise<ProgramEnd> {
  const [program, ...args] = argv;
  if (program === undefined) throw new BuildError('internal', 'a program needs a name');
  const watch = await options.watch?.();
  throwIfInterrupted(options.signal);
  const outputs = openOutputs(options);
  const child = start(program, args, options, outputs);
  let failure: unknown;
  const stop = (reason: unknown) => {
    failure ??= reason;
    killGroup(child.pid, options.stopSignal ?? 'SIGKILL');
  };
  let watching: AsyncDisposable | undefined;
  try {
    if (child.pid !== undefined) watching = watch?.(child.pid);
  } catch (error) {
    stop(error);
  }
  const { stdout, stderr, ended } = outputs.started(child);
  const watchers = watchLimits(options, program, stop);
  const receive = (stream: 'stdout' | 'stderr') => (chunk: Buffer) => {
    try {
      watchers.count(chunk.length);
      if (failure === undefined) options.onOutput?.(stream, chunk);
    } catch (error) {
      stop(error);
    }
  };
  stdout?.on('data', receive('stdout'));
  stderr?.on('data', receive('stderr'));
  child.stdin?.on('error', () => {}); // a program may end without reading all of it
  child.stdin?.end(options.stdin);
  try {
    const end = await new Promise<ProgramEnd>((resolve, reject) => {
      child.on('error', error => reject(startError(program, error)));
      child.on('close', (status, signal) =>
        resolve({ status: status ?? undefined, signal: signal ?? undefined }),
      );
    });
    await options.onExit?.();
    await ended;
    if (failure !== undefined) throw failure;
    return end;
  } finally {
    watchers.end();
    outputs.close();
    await watching?.[Symbol.asyncDispose]();
  }
}

/** Some failures of the kernel (E2BIG) are thrown at once, others come as an event. */
function start(
  program: string,
  args: readonly string[],
  options: ProgramOptions,
  outputs: Outputs,
): ChildProcess {
  try {
    return spawn(program, args, {
      cwd: options.cwd,
      env: options.env ?? { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: [options.stdin === undefined ? 'ignore' : 'pipe', ...outputs.stdio, ...(options.inherit ?? [])],
      detached: true,
    });
  } catch (error) {
    outputs.abandon();
    throw startError(program, error);
  }
}

interface Outputs {
  readonly stdio: readonly ('pipe' | number)[];
  /** Called once the program has its ends. */
  started(child: ChildProcess): {
    readonly stdout: Readable | null;
    readonly stderr: Readable | null;
    /** Resolves when nobody writes any more. */
    readonly ended: Promise<unknown>;
  };
  close(): void;
  /** Closes everything when no program was started. */
  abandon(): void;
}

function openOutputs(options: ProgramOptions): Outputs {
  if (!options.plainPipes) {
    return {
      stdio: ['pipe', 'pipe'],
      started: ({ stdout, stderr }) => ({ stdout, stderr, ended: Promise.resolve() }),
      close: () => {},
      abandon: () => {},
    };
  }
  const pipes = [openPipe(), openPipe()];
  const streams = pipes.map(pipe => new Socket({ fd: pipe.read, readable: true, writable: false }));
  for (const stream of streams) stream.on('error', () => {}); // ends it, and that is what is waited for
  const closeWriting = () => {
    for (const pipe of pipes) closeSync(pipe.write);
  };
  const close = () => {
    for (const stream of streams) stream.destroy();
  };
  return {
    stdio: pipes.map(pipe => pipe.write),
    started() {
      closeWriting();
      const [stdout = null, stderr = null] = streams;
      return { stdout, stderr, ended: Promise.allSettled(streams.map(stream => once(stream, 'close'))) };
    },
    close,
    abandon() {
      closeWriting();
      close();
    },
  };
}

function openPipe(): { readonly read: number; readonly write: number } {
  const ends = Buffer.alloc(8);
  check(declareC('int pipe2(void *ends, int flags)')(ends, openFlags.closeOnExec), 'pipe2');
  return { read: ends.readInt32LE(0), write: ends.readInt32LE(4) };
}

function watchLimits(options: ProgramOptions, program: string, stop: (reason: unknown) => void) {
  const { signal, limits } = options;
  let received = 0;
  const onAbort = () => stop(interruption(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  const timer =
    limits?.timeMs === undefined
      ? undefined
      : setTimeout(
          () => stop(limitError(program, `takes longer than ${limits.timeMs} ms`)),
          limits.timeMs,
        ).unref();
  return {
    count(bytes: number) {
      received += bytes;
      const most = limits?.outputBytes;
      if (most !== undefined && received > most) {
        throw limitError(program, `writes more than ${most} bytes`);
      }
    },
    end() {
      signal?.removeEventListener('abort', onAbort);
      clearTimeout(timer);
    },
  };
}

function interruption(signal: AbortSignal | undefined): BuildError {
  return new BuildError('interrupted', 'interrupted', { cause: signal?.reason });
}

/** @throws BuildError `interrupted` when the signal has been given */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw interruption(signal);
}

function limitError(program: string, what: string): BuildError {
  return new BuildError('hostile', `${printable(program)} ${what}`);
}

function startError(program: string, error: unknown): BuildError {
  const name = printable(program);
  if (errnoOf(error) === 'ENOENT') {
    return new BuildError('not-found', `the program ${name} is not installed`, { cause: error });
  }
  if (errnoOf(error) === 'E2BIG') {
    return new BuildError('sandbox', 'the command and its environment are larger than the kernel takes', {
      cause: error,
    });
  }
  return new BuildError('sandbox', `${name} cannot be started: ${messageOf(error)}`, { cause: error });
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // it has ended already
  }
}

/** What a program wrote, for short answers; stdout and stderr apart. */
export interface ProgramAnswer extends ProgramEnd {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** {@link runProgram} with the output collected. @param options.limits outputBytes defaults to 16 MiB */
export async function askProgram(
  argv: readonly string[],
  options: Omit<ProgramOptions, 'onOutput'> = {},
): Promise<ProgramAnswer> {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const end = await runProgram(argv, {
    ...options,
    limits: { outputBytes: 16 << 20, ...options.limits },
    onOutput: (stream, chunk) => chunks[stream].push(chunk),
  });
  return { ...end, stdout: Buffer.concat(chunks.stdout), stderr: Buffer.concat(chunks.stderr) };
}
