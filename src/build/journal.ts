// Keeps account of a build: what became of each step and why, for `slipway cache why` and `slipway logs`.
import { resolve } from 'node:path';
import { type Explainable, explainMiss, type Refusal } from '../cache/explain.ts';
import {
  type BuiltProject,
  type BuiltStep,
  openHistory,
  projectId,
  type StepPlace,
} from '../cache/history.ts';
import { decodeFiles, type InputFile } from '../cache/input-files.ts';
import type { CacheKey } from '../cache/key.ts';
import type { StepRecord } from '../cache/records.ts';
import { loadBytes, type StoredBytes } from '../cache/stored-bytes.ts';
import { withoutPasswords } from '../errors.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

export class Journal {
  readonly #tools: Tools;
  readonly #context: string;
  readonly #project: string;
  readonly #startedMs: number;
  readonly #steps: BuiltStep[] = [];

  constructor(request: BuildRequest, tools: Tools) {
    this.#tools = tools;
    this.#startedMs = tools.now();
    const isLocal = request.context !== '-' && !/^[a-z+]+:\/\/|^git@/i.test(request.context);
    this.#context = isLocal ? resolve(request.cwd, request.context) : withoutPasswords(request.context);
    const file =
      request.file === undefined || request.file === '-' ? request.file : resolve(request.cwd, request.file);
    this.#project = projectId(this.#context, file);
  }

  /** Why a step is executed: compared with the record of the step most like it. */
  async reason(
    place: StepPlace,
    after: Explainable,
    refusal: Refusal | undefined,
    follows: string | undefined,
  ): Promise<string> {
    const key = openHistory(this.#tools.store.meta).nearest(this.#project, place);
    const record = key === undefined ? undefined : this.#tools.records.get(key);
    return explainMiss(record && (await this.#explainable(record)), after, refusal, follows);
  }

  async #explainable(record: StepRecord): Promise<Explainable> {
    const files = record.files && (await this.#filesOf(record.files));
    const { parts, base, args } = record;
    return { parts, ...(base ? { base } : {}), ...(args ? { args } : {}), ...(files ? { files } : {}) };
  }

  /** A list that is gone or damaged makes the reason less exact, no more. */
  async #filesOf(stored: StoredBytes): Promise<InputFile[] | undefined> {
    try {
      return decodeFiles(await loadBytes(this.#tools.store, stored));
    } catch {
      return undefined;
    }
  }

  learn(place: StepPlace, key: CacheKey): void {
    openHistory(this.#tools.store.meta).learn(place, key);
  }

  add(step: BuiltStep): void {
    this.#steps.push(step);
  }

  save(outcome: BuiltProject['outcome']): void {
    const at = this.#tools.now();
    openHistory(this.#tools.store.meta).put(this.#project, {
      context: this.#context,
      at: new Date(at).toISOString(),
      outcome,
      durationMs: at - this.#startedMs,
      steps: this.#steps,
    });
  }
}
