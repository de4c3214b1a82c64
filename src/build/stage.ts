// One stage from its base to its last step: each step is taken from the cache or carried out, and its result becomes
// the ground of the next.
import type { StepPlace } from '../cache/history.ts';
import { baseState, nextState } from '../cache/key.ts';
import { BuildError, messageOf } from '../errors.ts';
import type { HistoryEntry } from '../image/config.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import type { PlannedStage, Step } from '../plan/steps.ts';
import type { StepDevices } from './devices.ts';
import { completeHistory, historyComment } from './history.ts';
import type { Journal } from './journal.ts';
import { skipsCache } from './no-cache-filter.ts';
import type { BuildRequest } from './request.ts';
import type { Schedule } from './scheduler.ts';
import type { Sources } from './sources.ts';
import type { StageResult } from './stage-result.ts';
import { StepLog } from './step-log.ts';
import { stepsAhead } from './steps/ahead.ts';
import type { EmptiedSlots } from './steps/cache-mount.ts';
import { prepareRun } from './steps/run.ts';
import type { PreparedStep, StepScope } from './steps/step.ts';
import { prepareCopy } from './steps/transfer.ts';
import { prepareWorkdir } from './steps/workdir.ts';
import { type Taken, takeOrExecute } from './take.ts';
import type { Tools } from './tools.ts';

export interface StageContext {
  readonly request: BuildRequest;
  readonly tools: Tools;
  readonly sources: Sources;
  readonly stages: readonly PlannedStage[];
  /** Steps of equal key run once in a build: the second takes the first's result. */
  readonly running: Map<string, Promise<Taken>>;
  readonly journal: Journal;
  readonly devices: StepDevices;
  /** There when cache mounts are to begin anew. */
  readonly emptiedMounts?: EmptiedSlots;
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
      return {
        ...empty,
        state: baseState([]),
        layers: [],
        baseLayers: 0,
        base: { reference: 'scratch', state: baseState([]) },
      };
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
        base: {
          reference: asWritten(stage.origin.base),
          state: baseState(base.config.diffIds),
        },
        ...(author ? { author } : {}),
      };
    }
    case 'context':
      throw new BuildError('internal', 'a stage cannot start from a directory');
  }
}

/** The reference in the id of a base request, as people write it. */
function asWritten(base: string): string {
  const reference = base.slice(0, base.lastIndexOf('|'));
  try {
    return familiarReference(parseReference(reference));
  } catch {
    return reference; // a file or layout
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
  const { tools, request, journal } = context;
  const log = new StepLog(tools.store);
  const scope = scopeOf(step, stage, before, context, schedule, log);
  // What the step reads from must be there before its key can be computed; waiting shows nothing yet.
  for (const index of neededBy(step)) await schedule.wait(index);
  const started = tools.now();
  const place = placeOf(step, stage);
  tools.emit({ kind: 'start', id: step.id, name, atMs: started });
  try {
    const prepared = await prepare(step, scope);
    const taken = await takeOrExecute({
      step,
      place,
      prepared,
      scope,
      ahead: tools.remote ? stepsAhead(step, scope, prepare) : [],
      schedule,
      running: context.running,
      journal,
      log,
      skipCache: skipsCache(stage, request),
      ...(before.executed === undefined ? {} : { follows: before.executed }),
      ...(before.base ? { base: before.base } : {}),
    });
    const { cached, key, reason } = taken;
    const recipe = prepared.isLocal ? {} : { recipe: prepared.recipe.key };
    tools.finished?.add({ stage: stage.index, ...recipe, key });
    const outcome = cached ? 'cached' : 'done';
    const durationMs = tools.now() - started;
    tools.emit({ kind: 'end', id: step.id, outcome, atMs: tools.now() });
    journal.add({ ...place, name, outcome, durationMs, key, ...(reason ? { reason } : {}) });
    return after(before, step, taken);
  } catch (error) {
    // What was waiting throws the reason that the signal was given.
    const stopped =
      schedule.signal.aborted && (!(error instanceof BuildError) || error.code === 'interrupted');
    const outcome = stopped ? 'cancelled' : 'failed';
    const durationMs = tools.now() - started;
    tools.emit({ kind: 'end', id: step.id, outcome, error: messageOf(error), atMs: tools.now() });
    const written = await log.keep().catch(() => undefined);
    journal.add({ ...place, name, outcome, durationMs, ...(written ? { log: written } : {}) });
    throw located(error, step, name, durationMs);
  }
}

/** What the step writes goes into its log as well. */
function scopeOf(
  step: Step,
  stage: PlannedStage,
  before: StageResult,
  { tools, request, sources, stages, devices, emptiedMounts }: StageContext,
  schedule: Schedule<number, StageResult>,
  log: StepLog,
): StepScope {
  const emit: Tools['emit'] = event => {
    if (event.kind === 'output' && event.id === step.id) log.add(event.data);
    tools.emit(event);
  };
  const given = devices.get(step.id);
  return {
    tools: { ...tools, emit },
    request,
    sources,
    stage,
    layers: before.layers,
    state: before.state,
    signal: schedule.signal,
    ...(given === undefined ? {} : { devices: given }),
    ...(emptiedMounts === undefined ? {} : { emptiedMounts }),
    stageResult: async index => schedule.wait(index),
    labelOf: index => labelOf(index, stages),
  };
}

function placeOf(step: Step, stage: PlannedStage): StepPlace {
  const counted = stage.steps.filter(each => each.kind !== 'setting');
  return {
    stage: stage.label,
    ordinal: counted.findIndex(each => each.id === step.id),
    kind: step.kind,
    display: step.display,
  };
}

function after(before: StageResult, step: Step, taken: Taken): StageResult {
  const { layer, cached } = taken;
  const executed = before.executed ?? (cached ? undefined : step.display);
  return {
    ...before,
    state: nextState(before.state, layer),
    layers: layer === null ? before.layers : [...before.layers, layer],
    history: [...before.history, historyOf(step, taken)],
    cachedSteps: before.cachedSteps + (cached ? 1 : 0),
    totalSteps: before.totalSteps + 1,
    ...(executed === undefined ? {} : { executed }),
  };
}

function historyOf(step: Step, outcome: Taken): HistoryEntry {
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
