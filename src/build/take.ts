// One step's result: taken from the cache, from a build that executes the same step at this moment, or made.
import type { Refusal } from '../cache/explain.ts';
import type { StepPlace } from '../cache/history.ts';
import { encodeFiles, type InputFile } from '../cache/input-files.ts';
import type { CacheKey, ReadableKey } from '../cache/key.ts';
import type { BaseRecord, StepRecord } from '../cache/records.ts';
import type { Ahead } from '../cache/remote-merge.ts';
import { storeBytes } from '../cache/stored-bytes.ts';
import type { LayerId } from '../layer/layers.ts';
import type { Step } from '../plan/steps.ts';
import type { Journal } from './journal.ts';
import type { Schedule } from './scheduler.ts';
import type { StageResult } from './stage-result.ts';
import { lockStep } from './step-lock.ts';
import type { StepLog } from './step-log.ts';
import type { PreparedStep, StepScope } from './steps/step.ts';

export interface Taken {
  readonly layer: LayerId | null;
  readonly cached: boolean;
  readonly createdAt: string;
  readonly key: CacheKey;
  /** Why it was executed. */
  readonly reason?: string;
}

/** Everything about one step that stands to be taken or executed. */
export interface StepWork {
  readonly step: Exclude<Step, { kind: 'setting' }>;
  readonly place: StepPlace;
  readonly prepared: PreparedStep;
  readonly scope: StepScope;
  /** The steps of the stage after it. */
  readonly ahead: readonly Ahead[];
  readonly schedule: Pick<Schedule<number, StageResult>, 'work'>;
  /** Steps of equal key run once in a build: the second takes the first's result. */
  readonly running: Map<string, Promise<Taken>>;
  readonly journal: Journal;
  readonly log: StepLog;
  /** The cache is not asked. */
  readonly skipCache: boolean;
  /** The first step below that was executed. */
  readonly follows?: string;
  readonly base?: BaseRecord;
}

/** @throws BuildError what carrying the step out throws */
export async function takeOrExecute(work: StepWork): Promise<Taken> {
  const { prepared, running } = work;
  const { recipe, isLocal } = prepared;
  const byRecipe = isLocal ? await lookUp(work, recipe.key) : await lookEverywhere(work, recipe);
  if (byRecipe.taken) return byRecipe.taken;
  const content = await prepared.content?.();
  const main = content ?? prepared.recipe;
  const byContent = content ? await lookEverywhere(work, content) : byRecipe;
  if (byContent.taken) {
    work.scope.tools.records.alias(prepared.recipe.key, main.key);
    return byContent.taken;
  }
  const twin = running.get(main.key);
  if (twin) return { ...(await twin), cached: true };
  const made = make(work, main, byContent.refusal);
  running.set(main.key, made);
  return made;
}

interface Look {
  readonly taken?: Taken;
  readonly refusal?: Refusal;
}

/** A record whose layer is gone from the store (pruned, damaged) is a miss. */
async function lookUp({ scope, skipCache }: StepWork, key: CacheKey): Promise<Look> {
  if (skipCache) return { refusal: 'no-cache' };
  const { records, layers, now } = scope.tools;
  const record = records.get(key);
  if (!record) return {};
  const { cacheTtlMs } = scope.request;
  if (cacheTtlMs !== undefined && now() - Date.parse(record.createdAt) > cacheTtlMs)
    return { refusal: 'expired' };
  if (record.layer !== null && !layers.has(record.layer)) return { refusal: 'gone' };
  if (!(await takes(scope, record))) return { refusal: 'pretended' };
  records.touch(key, now());
  return { taken: { layer: record.layer, cached: true, createdAt: record.createdAt, key } };
}

/** What proot only pretended is taken where nothing better is to be had, and nowhere else. */
async function takes({ tools }: StepScope, { pretended }: Pick<StepRecord, 'pretended'>): Promise<boolean> {
  return pretended !== true || (await tools.sandbox()).name === 'proot';
}

/** Here, then in other machines' caches: what they have becomes a record here, and is looked at like one. */
async function lookEverywhere(work: StepWork, asked: ReadableKey): Promise<Look> {
  const { scope, prepared, step, place, journal } = work;
  const { remote, records, store } = scope.tools;
  const here = await lookUp(work, asked.key);
  if (here.taken || work.skipCache || !remote) return here;
  const found = await remote.find(asked.key, scope.state, work.ahead, scope.signal, record =>
    takes(scope, record),
  );
  if (!found) return here;
  const { key, layer, createdAt, durationMs, log, pretended, from } = found;
  const isAlias = key !== asked.key;
  const files = isAlias ? undefined : await prepared.files?.();
  records.put(key, {
    layer,
    createdAt,
    durationMs,
    display: step.display,
    ...aboutStep(work, isAlias ? { key, parts: found.parts ?? [] } : asked),
    ...(log ? { log } : {}),
    ...(pretended ? { pretended } : {}),
    ...(files ? { files: await storeBytes(store, await encodeFiles(files)) } : {}),
  });
  if (isAlias) records.alias(asked.key, key);
  journal.learn(place, key);
  scope.tools.emit({ kind: 'note', id: step.id, text: `found in ${from}`, atMs: scope.tools.now() });
  return lookUp(work, asked.key);
}

/** Alone among all builds on this store; who waited finds what the other one made. */
async function make(work: StepWork, main: ReadableKey, refusal: Refusal | undefined): Promise<Taken> {
  const { scope, prepared, skipCache } = work;
  const { store, records } = scope.tools;
  using _lock = skipCache ? undefined : await lockStep(store, main.key, scope.signal);
  if (!skipCache) {
    await store.meta.share();
    const { taken } = await lookUp(work, main.key);
    if (taken) return taken;
  }
  const files = await prepared.files?.();
  const about = aboutStep(work, main);
  const reason = await work.journal.reason(
    work.place,
    { ...about, ...(files ? { files } : {}) },
    refusal,
    work.follows,
  );
  if (scope.request.explain) {
    scope.tools.emit({
      kind: 'note',
      id: work.step.id,
      text: `executed: ${reason}`,
      atMs: scope.tools.now(),
    });
  }
  const record = await execute(work, about, files);
  records.put(main.key, record);
  if (main !== prepared.recipe) records.alias(prepared.recipe.key, main.key);
  work.journal.learn(work.place, main.key);
  await store.meta.share();
  return { layer: record.layer, cached: false, createdAt: record.createdAt, key: main.key, reason };
}

async function execute(
  work: StepWork,
  about: Pick<StepRecord, 'parts' | 'base' | 'args'>,
  files: readonly InputFile[] | undefined,
): Promise<StepRecord> {
  const { step, scope, prepared, log } = work;
  const { store, now } = scope.tools;
  const { layer, tookMs } = await work.schedule.work(async () => {
    const started = now();
    await unpackAhead(step, scope);
    return { layer: await prepared.execute(), tookMs: now() - started };
  });
  const written = await log.keep();
  const pretended = step.kind === 'run' && (await scope.tools.sandbox()).name === 'proot';
  return {
    layer,
    createdAt: new Date(now()).toISOString(),
    durationMs: tookMs,
    display: step.display,
    ...about,
    ...(written ? { log: written } : {}),
    ...(pretended ? { pretended } : {}),
    ...(files ? { files: await storeBytes(store, await encodeFiles(files)) } : {}),
  };
}

function aboutStep(
  { step, base }: StepWork,
  { parts }: ReadableKey,
): Pick<StepRecord, 'parts' | 'base' | 'args'> {
  const args = step.kind === 'run' ? argNames(step.env, step.config.Env ?? []) : [];
  return { parts, ...(base ? { base } : {}), ...(args.length > 0 ? { args } : {}) };
}

/** What a command sees and the image does not keep. */
function argNames(seen: readonly string[], kept: readonly string[]): string[] {
  const nameOf = (entry: string) => entry.replace(/=.*$/s, '');
  const env = new Set(kept.map(nameOf));
  return [...new Set(seen.map(nameOf))].filter(name => !env.has(name));
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
