// What is wrong with instructions whatever their images are: found before any image is looked up, so that it can be said
// together with everything else. What an image could still make right is left to graph.ts.

import type { Dockerfile, Stage, StageInstruction } from '../dockerfile/instructions.ts';
import { expandedTexts } from '../dockerfile/lint/texts.ts';
import { expandWord } from '../dockerfile/words.ts';
import { BuildError, type Diagnostic, linesOf } from '../errors.ts';
import { emptyConfig } from '../image/config.ts';
import { emptyScope, type GlobalScope, globalScope } from './args.ts';
import { costOf, maxEntries, planInstruction } from './instruction.ts';
import { findContext, type PlanOptions } from './options.ts';
import { Problems } from './problems.ts';
import type { SourceScope } from './sources.ts';
import { beginStage, type StageContext, type StageState } from './state.ts';

/** Lines looked at, those of ONBUILD once for each stage: far more than any real file has. */
const maxLines = 200_000;

/** What is known behind the last line of a stage. */
interface StageEnd {
  readonly state: StageState;
  /** No image below can have set further variables. */
  readonly isComplete: boolean;
  readonly triggers: readonly StageInstruction[];
}

/** @throws BuildError `dockerfile` with what the parser found and, since the file is refused, what else is wrong */
export function refuseUnreadable(dockerfile: Dockerfile, options: PlanOptions): void {
  const problems = new Problems();
  for (const { severity, message, hint, range } of dockerfile.diagnostics) {
    if (severity !== 'error') continue;
    const details = { ...(hint === undefined ? {} : { hint }), ...(range === undefined ? {} : { range }) };
    problems.add([new BuildError('dockerfile', message, details)]);
  }
  if (problems.isEmpty) return;
  // Behind a FROM that was not understood nothing is certain.
  if (!dockerfile.diagnostics.some(isAboutFrom)) problems.add(findFaults(dockerfile, options));
  problems.throwIfAny();
}

function isAboutFrom({ severity, range }: Diagnostic): boolean {
  const line = range && linesOf(range.file)[range.start.line - 1];
  return severity === 'error' && (line === undefined || /^\s*from\b/i.test(line));
}

/** @param within indexes of the stages that count; absent: all of them */
export function findFaults(
  dockerfile: Dockerfile,
  options: PlanOptions,
  within?: ReadonlySet<number>,
): BuildError[] {
  const globals = valuesOf(dockerfile, options);
  if (globals === undefined) return [];
  const names = new Map(
    dockerfile.stages.flatMap(({ name, index }) => (name ? [[name.toLowerCase(), index]] : [])),
  );
  const sources: SourceScope = { options, names, stageCount: dockerfile.stages.length };
  const context: StageContext = {
    args: { buildArgs: options.buildArgs, globals, escape: dockerfile.directives.escape },
    sources,
  };
  const found: BuildError[] = [];
  const ends = new Map<string, StageEnd>();
  const budget = { entries: maxEntries, lines: maxLines };
  for (const stage of dockerfile.stages) {
    if (within?.has(stage.index) === false) continue;
    if (budget.entries < 0 || budget.lines < 0) break;
    const begin = beginOf(stage, ends, dockerfile, globals, options);
    budget.entries -= costOf(begin.state);
    const end = walk(stage, begin, context, budget, found);
    if (stage.name !== undefined) ends.set(stage.name.toLowerCase(), end);
  }
  return found;
}

function valuesOf(dockerfile: Dockerfile, options: PlanOptions): GlobalScope | undefined {
  try {
    return globalScope(dockerfile, options);
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

function beginOf(
  stage: Stage,
  ends: ReadonlyMap<string, StageEnd>,
  { directives }: Dockerfile,
  globals: GlobalScope,
  options: PlanOptions,
): StageEnd {
  const unknown = { state: beginStage(emptyConfig(options.platform).config, emptyScope), triggers: [] };
  let name: string;
  try {
    name = expandWord(stage.from.image.raw, globals.values, directives.escape).value;
  } catch {
    return { ...unknown, isComplete: false };
  }
  const below = ends.get(name.toLowerCase());
  if (below === undefined) return { ...unknown, isComplete: name === 'scratch' };
  return { ...below, state: beginStage(below.state.config, below.state.scope) };
}

function walk(
  stage: Stage,
  begin: StageEnd,
  context: StageContext,
  budget: { entries: number; lines: number },
  faults: BuildError[],
): StageEnd {
  const { options } = context.sources;
  // A named context in its place may be an image that sets anything.
  if (stage.name !== undefined && findContext(options, stage.name, options.platform))
    return { ...begin, isComplete: false, triggers: [] };
  let { state } = begin;
  for (const line of inOrder(begin.triggers, stage.instructions)) {
    budget.entries -= costOf(state, line);
    if (budget.entries < 0 || --budget.lines < 0) break;
    const isCertain = begin.isComplete || knowsAll(line, state);
    try {
      ({ state } = planInstruction(line, state, context));
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      if (isCertain && error.code === 'dockerfile') faults.push(error);
    }
  }
  const triggers = stage.instructions.flatMap(line => (line.kind === 'onbuild' ? [line.instruction] : []));
  return { state, isComplete: begin.isComplete, triggers };
}

/** Both lists without a copy: a stage may end at once, and many stages have the same triggers. */
function* inOrder<T>(...lists: readonly (readonly T[])[]): Generator<T> {
  for (const list of lists) yield* list;
}

/** Every variable that a line could mean has a value from this file. PATH is set in any case, perhaps by the image. */
function knowsAll(line: StageInstruction, state: StageState): boolean {
  return expandedTexts(line).every(text => {
    const names = ('body' in text ? text.body : text.raw).matchAll(/\$\{?(\w+)/g);
    return [...names].every(([, name = '']) => name !== 'PATH' && state.scope.env.has(name));
  });
}
