// What a build has come to, step by step, also when it fails later: what its caches are written from.
import type { CacheKey } from '../cache/key.ts';
import type { PlannedStage } from '../plan/steps.ts';

export interface FinishedStep {
  /** Index of its stage. */
  readonly stage: number;
  /** Key by what the step says; absent where nobody else can have it, the same as `key` where that is all there is. */
  readonly recipe?: CacheKey;
  /** Under which the result was found or recorded. */
  readonly key: CacheKey;
}

export class FinishedSteps {
  #steps: FinishedStep[] = [];
  #stages: readonly PlannedStage[] = [];
  #targets: readonly number[] = [];

  /** A build begins, perhaps once more. */
  begin({ stages, targets }: { stages: readonly PlannedStage[]; targets: readonly number[] }): void {
    this.#steps = [];
    this.#stages = stages;
    this.#targets = targets;
  }

  add(step: FinishedStep): void {
    this.#steps.push(step);
  }

  /** All of them, or those whose layers are in the images. */
  list(mode: 'min' | 'max'): readonly FinishedStep[] {
    if (mode === 'max') return this.#steps;
    return this.#targets.flatMap(target => this.ofImage(target));
  }

  /** Those of a stage, and of the stages that it is FROM. */
  ofImage(target: number): readonly FinishedStep[] {
    const chain = new Set<number>();
    for (let index: number | undefined = target; index !== undefined; ) {
      chain.add(index);
      const origin = this.#stages.find(stage => stage.index === index)?.origin;
      index = origin?.kind === 'stage' ? origin.stage : undefined;
    }
    return this.#steps.filter(({ stage }) => chain.has(stage));
  }
}
