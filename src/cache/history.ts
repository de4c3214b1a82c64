// What the last build of each project came to, step by step: for `slipway cache why`, `slipway logs`, and for finding the
// record that a missed step is compared with. In the store's database, one value per project.
import { createHash } from 'node:crypto';
import { isDigest } from '../image/digest.ts';
import type { Meta } from '../store/store.ts';
import { type CacheKey, frame } from './key.ts';
import { isStoredBytes, type StoredBytes } from './stored-bytes.ts';

export interface BuiltStep {
  /** `[build 2/5] RUN npm ci`. */
  readonly name: string;
  readonly stage: string;
  /** Place among the steps of its stage, from 0. */
  readonly ordinal: number;
  readonly kind: string;
  readonly display: string;
  /** `failed` and `cancelled` steps have no record. */
  readonly outcome: 'done' | 'cached' | 'failed' | 'cancelled';
  /** Of the record; absent when the step got none. */
  readonly key?: CacheKey;
  /** Why it was executed. */
  readonly reason?: string;
  readonly durationMs: number;
  /** What a step without a record wrote. */
  readonly log?: StoredBytes;
}

export interface BuiltProject {
  /** The context as it was named. */
  readonly context: string;
  /** When the build ended; RFC 3339. */
  readonly at: string;
  readonly outcome: 'done' | 'failed' | 'interrupted';
  readonly durationMs: number;
  readonly steps: readonly BuiltStep[];
  /** Steps of earlier builds that this one did not come to. */
  readonly earlier: readonly BuiltStep[];
}

export interface History {
  get(project: string): BuiltProject | undefined;
  /** The project that was built last. */
  last(): BuiltProject | undefined;
  put(project: string, built: Omit<BuiltProject, 'earlier'>): void;
  /** Key of the step most like this one: of the same project in its last build, else of any. */
  nearest(project: string, step: StepPlace): CacheKey | undefined;
  /** Makes the step known to other projects. */
  learn(step: StepPlace, key: CacheKey): void;
}

export type StepPlace = Pick<BuiltStep, 'stage' | 'ordinal' | 'kind' | 'display'>;

/** Steps that are remembered beyond those of the last build. */
const maxEarlier = 200;

/** @param context and file as absolute as they can be made: equal ones are one project */
export function projectId(context: string, file: string | undefined): string {
  return `project ${shortHash([context, file ?? ''])}`;
}

export function openHistory(meta: Meta): History {
  const get = (project: string) => parseBuilt(meta.get('builds', project));
  return {
    get,
    last() {
      const project = meta.get('builds', 'last');
      return typeof project === 'string' ? get(project) : undefined;
    },
    put(project, built) {
      const before = get(project);
      const old = before ? [...before.steps, ...before.earlier] : [];
      const earlier = old
        .filter(step => step.key !== undefined && !built.steps.some(each => isSamePlace(each, step)))
        .map(({ log: _, ...step }) => step)
        .slice(0, maxEarlier);
      meta.set('builds', project, { ...built, earlier });
      meta.set('builds', 'last', project);
    },
    nearest(project, step) {
      const before = get(project);
      const known = before ? [...before.steps, ...before.earlier].filter(each => each.key !== undefined) : [];
      const own =
        known.find(each => isSamePlace(each, step)) ??
        known.find(each => each.stage === step.stage && each.display === step.display) ??
        known.find(
          each => each.stage === step.stage && each.ordinal === step.ordinal && each.kind === step.kind,
        );
      if (own?.key) return own.key;
      const key = meta.get('builds', likeKey(step));
      return isDigest(key) ? (key as CacheKey) : undefined;
    },
    learn: (step, key) => meta.set('builds', likeKey(step), key),
  };
}

function isSamePlace(a: StepPlace, b: StepPlace): boolean {
  return a.stage === b.stage && a.display === b.display && a.ordinal === b.ordinal;
}

function likeKey({ kind, display }: StepPlace): string {
  return `like ${shortHash([kind, display])}`;
}

function shortHash(texts: readonly string[]): string {
  return createHash('sha256').update(frame(texts)).digest('hex').slice(0, 32);
}

function parseBuilt(value: unknown): BuiltProject | undefined {
  const { context, at, outcome, durationMs, steps, earlier } = (value ?? {}) as Record<string, unknown>;
  if (typeof context !== 'string' || typeof at !== 'string' || typeof durationMs !== 'number')
    return undefined;
  if (outcome !== 'done' && outcome !== 'failed' && outcome !== 'interrupted') return undefined;
  if (!Array.isArray(steps) || !Array.isArray(earlier)) return undefined;
  if (![...steps, ...earlier].every(isStep)) return undefined;
  return { context, at, outcome, durationMs, steps, earlier };
}

function isStep(value: unknown): value is BuiltStep {
  const step = (value ?? {}) as Record<string, unknown>;
  return (
    ['name', 'stage', 'kind', 'display'].every(name => typeof step[name] === 'string') &&
    typeof step.ordinal === 'number' &&
    typeof step.durationMs === 'number' &&
    ['done', 'cached', 'failed', 'cancelled'].includes(String(step.outcome)) &&
    (step.key === undefined || isDigest(step.key)) &&
    (step.reason === undefined || typeof step.reason === 'string') &&
    (step.log === undefined || isStoredBytes(step.log))
  );
}
