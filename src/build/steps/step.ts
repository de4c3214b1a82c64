// What every kind of step offers: a key that can be computed cheaply, perhaps one that looks at content, and a way to
// carry it out (describe, then do).
import type { InputFile } from '../../cache/input-files.ts';
import type { ReadableKey, StateId } from '../../cache/key.ts';
import type { LayerId } from '../../layer/layers.ts';
import type { PlannedStage } from '../../plan/steps.ts';
import type { GivenDevices } from '../../sandbox/cdi/edits.ts';
import type { BuildRequest } from '../request.ts';
import type { Sources } from '../sources.ts';
import type { Tools } from '../tools.ts';
import type { EmptiedSlots } from './cache-mount.ts';

/** Where a step stands: the layers and state below it, and how to reach what it may use. */
export interface StepScope {
  readonly tools: Tools;
  readonly request: BuildRequest;
  readonly sources: Sources;
  readonly stage: PlannedStage;
  readonly layers: readonly LayerId[];
  readonly state: StateId;
  readonly signal: AbortSignal;
  /** Of a RUN that is given devices by their names. */
  readonly devices?: GivenDevices;
  /** There when cache mounts are to begin anew. */
  readonly emptiedMounts?: EmptiedSlots;
  stageResult(index: number): Promise<{ readonly state: StateId; readonly layers: readonly LayerId[] }>;
  labelOf(stage: number): string;
}

export interface PreparedStep {
  /** From what the step says and what it stands on. */
  readonly recipe: ReadableKey;
  /** The recipe is about files of this machine: nobody else has its key. Default false. */
  readonly isLocal?: boolean;
  /** From the content that the step reads, where that can join a result the recipe does not find. */
  content?(): Promise<ReadableKey>;
  /** The files that the step reads, to say later which of them changed. */
  files?(): Promise<readonly InputFile[]>;
  /** Carries the step out. @returns the layer with its changes, null when it changed nothing */
  execute(): Promise<LayerId | null>;
}
