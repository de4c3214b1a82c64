// What the checks look at: the Dockerfile with the variables that are known at each instruction. The values follow
// the same rules as the build (plan/args.ts); what can not be expanded stays as it is written.
import { posix } from 'node:path';
import type { Platform } from '../../image/platform.ts';
import type {
  ArgInstruction,
  Dockerfile,
  EnvInstruction,
  Stage,
  StageInstruction,
  Text,
} from '../instructions.ts';
import { type Environment, type Expansion, expandWord, expandWords, WordError } from '../words.ts';

/** What is known about the image that a stage starts from. */
export interface BaseFacts {
  /** `NAME=value`. */
  readonly env: readonly string[];
  /** SHELL of the image. */
  readonly shell?: readonly string[];
  /** What the image says it is for, and what was asked for. */
  readonly platform?: Platform;
  readonly expectedPlatform?: Platform;
}

export interface LintContext {
  readonly buildArgs?: ReadonlyMap<string, string>;
  /** TARGETPLATFORM and its like. Default: the names, with linux/amd64 for both sides. */
  readonly platformArgs?: ReadonlyMap<string, string>;
  /** Stages (indexes) whose instructions are looked into; FROM lines always are. Default: all. */
  readonly stages?: ReadonlySet<number>;
  /** By index of the stage. Without an entry nothing is said about variables that its image might set. */
  readonly bases?: ReadonlyMap<number, BaseFacts>;
  /** The ignore file leaves out this path, relative to the context. Absent: there is no ignore file. */
  readonly ignoredSource?: (path: string) => boolean;
  /** The ignore file has a line that starts with `!`, so a path alone does not tell. Default false. */
  readonly hasNegatedIgnore?: boolean;
}

export interface Subject {
  readonly dockerfile: Dockerfile;
  readonly context: LintContext;
  /** What FROM sees. */
  readonly globals: Environment;
  /** The same without build args. */
  readonly defaults: Environment;
  /** Names of ARGs before the first FROM, valued or not. */
  readonly globalNames: ReadonlySet<string>;
  /** Those to look into. */
  readonly stages: readonly LintedStage[];
}

export interface LintedStage {
  readonly stage: Stage;
  readonly lines: readonly LintedLine[];
  /** ONBUILD instructions of the stage below, which are carried out before `lines`. */
  readonly triggers: readonly LintedLine[];
  /** The stage below, or one further down, has a WORKDIR. */
  readonly isWorkdirSet: boolean;
}

/** An instruction and what is true just before it. */
export interface LintedLine {
  readonly instruction: StageInstruction;
  readonly env: Environment;
  /** ARGs without a value: known names all the same. */
  readonly declared: ReadonlySet<string>;
  /** All variables that the base image sets are among `env`. */
  readonly isEnvComplete: boolean;
  /** A SHELL of this stage, of one below or of the image is in force. */
  readonly hasShell: boolean;
}

/** What runs in the stages: triggers of the stage below, then their own instructions. */
export function* linesIn(stages: readonly LintedStage[]): Generator<LintedLine> {
  for (const { triggers, lines } of stages) {
    yield* triggers;
    yield* lines;
  }
}

const defaultPlatformArgs: ReadonlyMap<string, string> = new Map(
  ['BUILD', 'TARGET'].flatMap(side => [
    [`${side}PLATFORM`, 'linux/amd64'],
    [`${side}OS`, 'linux'],
    [`${side}OSVERSION`, ''],
    [`${side}ARCH`, 'amd64'],
    [`${side}VARIANT`, ''],
  ]),
);

/** Variables copied for the instructions of one file: enough for any real one, and an end for a hostile one. */
const maxCopies = 2_000_000;
/** What a line costs: those of ONBUILD come again in every stage that starts from theirs. */
const perLine = 4;

/** Instructions beyond what can be afforded are left out of `stages`. */
export function makeSubject(dockerfile: Dockerfile, context: LintContext): Subject {
  const platformArgs = new Map(context.platformArgs ?? defaultPlatformArgs);
  if (!platformArgs.has('TARGETSTAGE')) platformArgs.set('TARGETSTAGE', 'default');
  const buildArgs = context.buildArgs ?? new Map<string, string>();
  const globals = globalValues(dockerfile, platformArgs, buildArgs);
  const names = dockerfile.globalArgs.flatMap(line => line.args.map(arg => arg.key.raw));
  const around = { dockerfile, context, globals, buildArgs, budget: { copies: maxCopies } };
  const stages: LintedStage[] = [];
  const ends = new Map<string, StageEnd>();
  for (const stage of dockerfile.stages) {
    const image = expandSafely(stage.from.image, globals, dockerfile).value;
    const below = ends.get(image);
    const { lines, triggers, end } = walkStage(stage, below ?? firstState(stage, image, context), around);
    stages.push({ stage, lines, triggers, isWorkdirSet: below?.isWorkdirSet ?? false });
    if (stage.name !== undefined) ends.set(stage.name, end);
  }
  return {
    dockerfile,
    context,
    globals,
    defaults: globalValues(dockerfile, platformArgs, new Map()),
    globalNames: new Set(names),
    stages: stages.filter(({ stage }) => context.stages?.has(stage.index) ?? true),
  };
}

function globalValues(
  dockerfile: Dockerfile,
  platformArgs: Environment,
  buildArgs: ReadonlyMap<string, string>,
): Environment {
  const values = new Map(platformArgs);
  for (const { key, value } of dockerfile.globalArgs.flatMap(line => line.args)) {
    const given = buildArgs.get(key.raw) ?? (value && expandSafely(value, values, dockerfile).value);
    if (given !== undefined) values.set(key.raw, given);
  }
  return values;
}

interface Surroundings {
  readonly dockerfile: Dockerfile;
  readonly context: LintContext;
  readonly globals: Environment;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** What may still be copied. */
  readonly budget: { copies: number };
}

/** What is true behind the last line of a stage, for stages on it. */
interface StageEnd extends Omit<LintedLine, 'instruction'> {
  readonly isWorkdirSet: boolean;
  readonly onbuild: readonly StageInstruction[];
}

function firstState(stage: Stage, image: string, context: LintContext): StageEnd {
  const facts = context.bases?.get(stage.index);
  const env = new Map([['PATH', '']]);
  for (const entry of facts?.env ?? []) {
    const equals = entry.indexOf('=');
    if (equals > 0) env.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return {
    env,
    declared: new Set(),
    isEnvComplete: image === 'scratch' || facts !== undefined,
    hasShell: (facts?.shell ?? []).length > 0,
    isWorkdirSet: false,
    onbuild: [],
  };
}

function walkStage(
  stage: Stage,
  begin: StageEnd,
  around: Surroundings,
): { readonly lines: LintedLine[]; readonly triggers: LintedLine[]; readonly end: StageEnd } {
  let { env, declared, hasShell, isWorkdirSet } = begin;
  const { isEnvComplete } = begin;
  const lines: LintedLine[] = [];
  const triggers: LintedLine[] = [];
  const onbuild: StageInstruction[] = [];
  const step = (instruction: StageInstruction, into: LintedLine[]) => {
    around.budget.copies -= perLine;
    into.push({ instruction, env, declared, isEnvComplete, hasShell });
    if (instruction.kind === 'env') env = afterEnv(instruction, env, around);
    if (instruction.kind === 'arg') ({ env, declared } = afterArg(instruction, env, declared, around));
    if (instruction.kind === 'shell') hasShell = true;
    if (instruction.kind === 'workdir') isWorkdirSet = true;
    if (instruction.kind === 'onbuild') onbuild.push(instruction.instruction);
  };
  for (const [from, into] of [
    [begin.onbuild, triggers],
    [stage.instructions, lines],
  ] as const) {
    for (const instruction of from) {
      if (around.budget.copies < 0) break;
      step(instruction, into);
    }
  }
  return { lines, triggers, end: { env, declared, isEnvComplete, hasShell, isWorkdirSet, onbuild } };
}

function afterEnv(line: EnvInstruction, before: Environment, around: Surroundings): Environment {
  const { dockerfile, budget } = around;
  const env = new Map(before);
  budget.copies -= env.size;
  for (const { key, value } of line.pairs) {
    env.set(expandSafely(key, before, dockerfile).value, expandSafely(value, before, dockerfile).value);
  }
  return env;
}

function afterArg(
  line: ArgInstruction,
  before: Environment,
  known: ReadonlySet<string>,
  { dockerfile, globals, buildArgs, budget }: Surroundings,
): { env: Environment; declared: ReadonlySet<string> } {
  const env = new Map(before);
  const declared = new Set(known);
  budget.copies -= env.size + declared.size;
  for (const { key, value } of line.args) {
    const given =
      buildArgs.get(key.raw) ??
      (value === undefined ? globals.get(key.raw) : expandSafely(value, env, dockerfile).value);
    declared.add(key.raw);
    if (given !== undefined) env.set(key.raw, given);
  }
  return { env, declared };
}

/** A word expanded; one that can not be is left as written and uses nothing. The build reports those. */
export function expandSafely(text: Text, env: Environment, dockerfile: Dockerfile): Expansion {
  try {
    return expandWord(text.raw, env, dockerfile.directives.escape);
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    return { value: text.raw, used: [], undefined: [], unset: [] };
  }
}

/** The words that a text gives (EXPOSE). */
export function expandWordsSafely(text: Text, env: Environment, dockerfile: Dockerfile): string[] {
  try {
    return expandWords(text.raw, env, dockerfile.directives.escape).words;
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    return [];
  }
}

/** Path of a COPY source below the context: `../` can not leave it. '' is the context itself. */
export function contextPath(source: string): string {
  return posix.join('/', source).replace(/^\/|\/$/g, '');
}
