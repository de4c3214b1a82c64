// Outline and base configs in, steps out: every instruction expanded, with the config as it is after it. Follows
// BuildKit's dockerfile2llb where the reference is silent: https://docs.docker.com/reference/dockerfile/

import type { StageInstruction } from '../dockerfile/instructions.ts';
import { BuildError, type SourceRange } from '../errors.ts';
import { type ContainerConfig, emptyConfig, type ImageConfig } from '../image/config.ts';
import { normalize, type Platform } from '../image/platform.ts';
import { emptyScope, type StageScope, unusedBuildArgs } from './args.ts';
import { displayOf } from './display.ts';
import { costOf, maxEntries, planInstruction } from './instruction.ts';
import type { Outline } from './outline.ts';
import type { OutlineStage } from './outline-stage.ts';
import { invalid, Problems } from './problems.ts';
import { type BaseConfigs, findReach, triggersOf } from './reach.ts';
import { beginStage, defaultPath, type StageContext, type StageState } from './state.ts';
import type { Graph, PlannedStage, Step } from './steps.ts';

/**
 * @param baseConfigs one for each request that missingBases names, until it names none
 * @throws BuildError `dockerfile` with everything that is wrong with the instructions in reach
 */
export function makeGraph(outline: Outline, baseConfigs: BaseConfigs): Graph {
  return planStages(outline, baseConfigs).graph;
}

/** makeGraph, with what is visible at the end of each stage. */
export function planStages(
  outline: Outline,
  baseConfigs: BaseConfigs,
): { readonly graph: Graph; readonly scopes: ReadonlyMap<number, StageScope> } {
  const { order, bases } = findReach(outline, baseConfigs);
  for (const { id } of bases) {
    if (!baseConfigs.has(id)) throw new BuildError('internal', `the plan needs the config of ${id}`);
  }
  const problems = new Problems();
  const done = new Map<number, FinishedStage>();
  const budget = { entries: maxEntries };
  const triggers = new Set<StageInstruction>();
  for (const index of order) {
    const stage = outline.stages[index];
    if (stage === undefined) throw new BuildError('internal', `there is no stage ${index}`);
    const added = triggersOf(stage, outline.stages, baseConfigs);
    for (const trigger of added) triggers.add(trigger);
    done.set(index, planStage(stage, added, { outline, baseConfigs, done, problems, budget }));
  }
  problems.throwIfAny();
  const stages = [...done.values()].map(finished => finished.planned);
  const graph = {
    target: outline.target,
    stages: stages.map(stage => (stage.index === outline.target ? forTarget(stage, outline) : stage)),
    warnings: unusedBuildArgs(outline.dockerfile, [...triggers], outline.options),
  };
  return { graph, scopes: new Map([...done].map(([index, { scope }]) => [index, scope])) };
}

interface FinishedStage {
  readonly planned: PlannedStage;
  /** What a stage on this one inherits. */
  readonly scope: StageScope;
}

interface Planning {
  readonly outline: Outline;
  readonly baseConfigs: BaseConfigs;
  readonly done: ReadonlyMap<number, FinishedStage>;
  readonly problems: Problems;
  /** What the steps of all stages may still hold. */
  readonly budget: { entries: number };
}

function planStage(
  stage: OutlineStage,
  triggers: readonly StageInstruction[],
  planning: Planning,
): FinishedStage {
  const base = baseOf(stage, planning);
  const begin = beginStage(base.config.config, base.scope);
  planning.budget.entries -= costOf(begin);
  const { steps, state } = planSteps(stage, [...triggers, ...stage.instructions], begin, planning);
  const { created: _, ...kept } = base.config;
  const author = state.author ?? kept.author;
  const planned: PlannedStage = {
    index: stage.index,
    ...(stage.name === undefined ? {} : { name: stage.name }),
    label: stage.label,
    platform: stage.platform,
    origin: stage.origin.kind === 'context' ? { kind: 'scratch' } : stage.origin,
    steps,
    config: { ...kept, ...(author === undefined ? {} : { author }), config: state.config },
    range: stage.from.range,
  };
  return { planned, scope: state.scope };
}

/** Goes on behind an instruction that is wrong, as if it were not there, to find what else is. */
function planSteps(
  stage: OutlineStage,
  lines: readonly StageInstruction[],
  begin: StageState,
  { outline, problems, budget }: Planning,
): { readonly steps: Step[]; readonly state: StageState } {
  const { dockerfile, options, globals } = outline;
  const escapeChar = dockerfile.directives.escape;
  const context: StageContext = {
    args: { buildArgs: options.buildArgs, globals, escape: escapeChar },
    sources: outline,
  };
  const steps: Step[] = [...directorySteps(stage, begin.config)];
  let state = begin;
  if (budget.entries < 0) throw tooMuch(stage.from.range);
  for (const line of lines) {
    const next = problems.attempt(() => planInstruction(line, state, context));
    if (next === undefined) continue;
    budget.entries -= costOf(next.state, line);
    if (budget.entries < 0) throw tooMuch(line.range);
    if (next.part !== undefined) {
      steps.push({
        ...next.part,
        id: `${stage.index}.${steps.length}`,
        stage: stage.index,
        range: line.range,
        display: displayOf(line, state, escapeChar),
        config: next.state.config,
      });
    }
    state = next.state;
  }
  return { steps, state };
}

function tooMuch(range: SourceRange): BuildError {
  return invalid('the Dockerfile sets too much to be planned', range);
}

/** A stage that starts from a directory (a named context) starts from nothing and copies it. */
function directorySteps(stage: OutlineStage, config: ContainerConfig): Step[] {
  const { origin, index, from } = stage;
  if (origin.kind !== 'context') return [];
  const display = `COPY --from=${origin.name ?? 'context'} . /`;
  const step: Step = {
    kind: 'copy',
    instruction: 'COPY',
    id: `${index}.0`,
    stage: index,
    range: from.image.range,
    display,
    createdBy: `${display} # buildkit`,
    config,
    from: origin,
    items: [{ kind: 'path', path: '.', range: from.image.range }],
    dest: '/',
    link: false,
    parents: false,
    excludes: [],
    keepGitDir: false,
    unpack: 'never',
  };
  return [step];
}

function baseOf(
  stage: OutlineStage,
  { baseConfigs, done }: Planning,
): { readonly config: ImageConfig; readonly scope: StageScope } {
  const { origin, platform } = stage;
  if (origin.kind === 'image') {
    return { config: baseConfigs.get(origin.base) ?? emptyConfig(platform), scope: emptyScope };
  }
  if (origin.kind === 'stage') {
    const below = done.get(origin.stage);
    if (below !== undefined) return { config: below.planned.config, scope: below.scope };
  }
  const config: ContainerConfig = { Env: [`PATH=${defaultPath}`], WorkingDir: '/' };
  return { config: { ...emptyConfig(platform), config }, scope: emptyScope };
}

/** The image says what it was built for: what was asked, or else what its base says. */
function forTarget(stage: PlannedStage, outline: Outline): PlannedStage {
  const { platform: asked, platformRequested } = outline.options;
  const own = stage.config.platform;
  const platform = platformRequested ? overridePlatform(own, asked) : own;
  return { ...stage, config: { ...stage.config, platform: normalize(platform) } };
}

function overridePlatform(own: Platform, asked: Platform): Platform {
  const isSame = own.os === asked.os && own.architecture === asked.architecture;
  return { ...(isSame ? own : {}), ...asked };
}
