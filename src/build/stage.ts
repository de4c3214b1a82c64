// One stage from its base to its last step: each step is taken from the cache or carried out, and its result becomes
// the ground of the next.
import { baseState, nextState } from '../cache/key.ts';
import { BuildError, messageOf } from '../errors.ts';
import type { HistoryEntry } from '../image/config.ts';
import type { LayerId } from '../layer/layers.ts';
import type { PlannedStage, Step } from '../plan/steps.ts';
import { completeHistory, historyComment } from './history.ts';
import type { BuildRequest } from './request.ts';
import type { Schedule } from './scheduler.ts';
import type { Sources } from './sources.ts';
import type { StageResult } from './stage-result.ts';
import { prepareRun } from './steps/run.ts';
import type { PreparedStep, StepScope } from './steps/step.ts';
import { prepareCopy } from './steps/transfer.ts';
import { prepareWorkdir } from './steps/workdir.ts';
import type { Tools } from './tools.ts';

export interface StageContext {
  readonly request: BuildRequest;
  readonly tools: Tools;
  readonly sources: Sources;
  readonly stages: readonly PlannedStage[];
  /** Steps of equal key run once in a build: the second takes the first's result. */
  readonly running: Map<string, Promise<LayerId | null>>;
}

/** @throws BuildError what the failing step threw, completed with its place */
export async function runStage(
  stage: PlannedStage,
  context: StageContext,
  schedule: Schedule<number, StageResult>,
): Promise<StageResult> {
  let progress = await startOf(stage, context, schedule);
  const names = stepNames(stage, context.stages);
  for (const step of stage.steps) {
    progress = await runStep(step, names.get(step.id) ?? step.display, stage, progress, context, schedule);
  }
  return progress;
}

async function startOf(
  stage: PlannedStage,
  context: StageContext,
  schedule: Schedule<number, StageResult>,
): Promise<StageResult> {
  const empty = { history: [], baseHistory: 0, cachedSteps: 0, totalSteps: 0 };
  switch (stage.origin.kind) {
    case 'scratch':
      return { ...empty, state: baseState([]), layers: [], baseLayers: 0 };
    case 'stage': {
      const below = await schedule.wait(stage.origin.stage);
      return { ...below, cachedSteps: 0, totalSteps: 0 };
    }
    case 'image': {
      const base = context.sources.base(stage.origin.base);
      const history = completeHistory(base.config.history, base.layers.length);
      const author = base.config.author;
      return {
        ...empty,
        state: baseState(base.config.diffIds),
        layers: base.layers,
        baseLayers: base.layers.length,
        history,
        baseHistory: history.length,
        ...(author ? { author } : {}),
      };
    }
    case 'context':
      throw new BuildError('internal', 'a stage cannot start from a directory');
  }
}

async function runStep(
  step: Step,
  name: string,
  stage: PlannedStage,
  before: StageResult,
  context: StageContext,
  schedule: Schedule<number, StageResult>,
): Promise<StageResult> {
  if (step.kind === 'setting') {
    const entry = { created_by: step.createdBy, comment: historyComment, empty_layer: true };
    return {
      ...before,
      history: [...before.history, entry],
      ...(step.author === undefined ? {} : { author: step.author }),
    };
  }
  const { tools, request } = context;
  const scope: StepScope = {
    tools,
    request,
    sources: context.sources,
    stage,
    layers: before.layers,
    state: before.state,
    signal: schedule.signal,
    stageResult: async index => schedule.wait(index),
    labelOf: index => labelOf(index, context.stages),
  };
  // What the step reads from must be there before its key can be computed; waiting shows nothing yet.
  for (const index of neededBy(step)) await schedule.wait(index);
  const started = tools.now();
  tools.emit({ kind: 'start', id: step.id, name, atMs: started });
  try {
    const prepared = await prepare(step, scope);
    const skipCache =
      request.noCache || (stage.name !== undefined && request.noCacheFilter.includes(stage.name));
    const outcome = await takeOrExecute(step, prepared, scope, context, schedule, skipCache);
    tools.emit({ kind: 'end', id: step.id, outcome: outcome.cached ? 'cached' : 'done', atMs: tools.now() });
    return {
      ...before,
      state: nextState(before.state, outcome.layer),
      layers: outcome.layer === null ? before.layers : [...before.layers, outcome.layer],
      history: [...before.history, historyOf(step, outcome)],
      cachedSteps: before.cachedSteps + (outcome.cached ? 1 : 0),
      totalSteps: before.totalSteps + 1,
    };
  } catch (error) {
    const stopped = schedule.signal.aborted && (error as BuildError).code === 'interrupted';
    const message = messageOf(error);
    tools.emit({
      kind: 'end',
      id: step.id,
      outcome: stopped ? 'cancelled' : 'failed',
      error: message,
      atMs: tools.now(),
    });
    throw located(error, step, name, tools.now() - started);
  }
}

function historyOf(step: Step, outcome: Outcome): HistoryEntry {
  return {
    created: outcome.createdAt,
    created_by: step.createdBy,
    comment: historyComment,
    ...(outcome.layer === null ? { empty_layer: true } : {}),
  };
}

function prepare(step: Exclude<Step, { kind: 'setting' }>, scope: StepScope): Promise<PreparedStep> {
  switch (step.kind) {
    case 'run':
      return prepareRun(step, scope);
    case 'copy':
      return prepareCopy(step, scope);
    case 'workdir':
      return prepareWorkdir(step, scope);
  }
}

interface Outcome {
  readonly layer: LayerId | null;
  readonly cached: boolean;
  readonly createdAt: string;
}

async function takeOrExecute(
  step: Exclude<Step, { kind: 'setting' }>,
  prepared: PreparedStep,
  scope: StepScope,
  context: StageContext,
  schedule: Schedule<number, StageResult>,
  skipCache: boolean,
): Promise<Outcome> {
  const { records } = context.tools;
  if (!skipCache) {
    const byRecipe = usable(records.get(prepared.recipe.key), scope);
    if (byRecipe) return { layer: byRecipe.layer, cached: true, createdAt: byRecipe.createdAt };
  }
  const content = await prepared.content?.();
  const main = content ?? prepared.recipe;
  if (!skipCache && content) {
    const byContent = usable(records.get(content.key), scope);
    if (byContent) {
      records.alias(prepared.recipe.key, content.key);
      return { layer: byContent.layer, cached: true, createdAt: byContent.createdAt };
    }
  }
  const twin = context.running.get(main.key);
  if (twin) return { layer: await twin, cached: true, createdAt: new Date(scope.tools.now()).toISOString() };
  const running = schedule.work(async () => {
    await unpackAhead(step, scope);
    return prepared.execute();
  });
  context.running.set(main.key, running);
  const started = scope.tools.now();
  const layer = await running;
  const finished = scope.tools.now();
  const createdAt = new Date(finished).toISOString();
  records.put(main.key, {
    layer,
    createdAt,
    durationMs: finished - started,
    display: step.display,
    parts: main.parts,
  });
  if (content) records.alias(prepared.recipe.key, content.key);
  return { layer, cached: false, createdAt };
}

/**
 * A COPY looks at the names in the layers below, a RUN needs them unpacked: where one follows the other, unpacking first
 * gives the names as well, so that a base is inflated once.
 */
async function unpackAhead(step: Step, scope: StepScope): Promise<void> {
  const { steps } = scope.stage;
  const follows = steps.slice(steps.indexOf(step) + 1).some(later => later.kind === 'run');
  if (step.kind === 'run' || !follows) return;
  // Whatever goes wrong here goes wrong again, with its message, where the tree is needed.
  await scope.tools.layers.trees(scope.layers, scope.signal).catch(() => {});
}

/** A record whose layer is gone from the store (pruned, damaged) is a miss. */
function usable<R extends { layer: LayerId | null }>(record: R | undefined, scope: StepScope): R | undefined {
  if (!record || record.layer === null) return record;
  return scope.tools.layers.has(record.layer) ? record : undefined;
}

function neededBy(step: Step): number[] {
  if (step.kind === 'copy') return step.from.kind === 'stage' ? [step.from.stage] : [];
  if (step.kind !== 'run') return [];
  return step.mounts.flatMap(m =>
    (m.type === 'bind' || m.type === 'cache') && m.from.kind === 'stage' ? [m.from.stage] : [],
  );
}

function labelOf(index: number, stages: readonly PlannedStage[]): string {
  return stages.find(s => s.index === index)?.label ?? String(index);
}

/** `[build 2/5] RUN npm ci`, counted as BuildKit does: FROM is the first, settings do not count. */
function stepNames(stage: PlannedStage, stages: readonly PlannedStage[]): Map<string, string> {
  const counted = stage.steps.filter(step => step.kind !== 'setting');
  const label = stages.length === 1 && stage.name === undefined ? '' : `${stage.label} `;
  return new Map(
    counted.map((step, i) => [step.id, `[${label}${i + 2}/${counted.length + 1}] ${step.display}`]),
  );
}

/** A failure without a place gets the step's. */
function located(error: unknown, step: Step, name: string, tookMs: number): unknown {
  if (!(error instanceof BuildError) || error.code === 'internal' || error.code === 'interrupted')
    return error;
  return new BuildError(error.code, error.message, {
    hint: error.hint,
    range: error.range ?? step.range,
    cause: error.cause,
    diagnostics: error.diagnostics,
    output: error.output,
    facts: { ...error.facts, step: name, seconds: Math.round(tookMs / 100) / 10 },
  });
}
