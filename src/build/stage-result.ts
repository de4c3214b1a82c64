// What a stage has come to at some step: the ground of the next one.
import type { StateId } from '../cache/key.ts';
import type { BaseRecord } from '../cache/records.ts';
import type { HistoryEntry } from '../image/config.ts';
import type { LayerId } from '../layer/layers.ts';

export interface StageResult {
  readonly state: StateId;
  /** Lowest first, those of the base included. */
  readonly layers: readonly LayerId[];
  /** How many of them the base image brought. */
  readonly baseLayers: number;
  readonly history: readonly HistoryEntry[];
  /** How many entries of the history the base image brought. */
  readonly baseHistory: number;
  readonly author?: string;
  readonly cachedSteps: number;
  readonly totalSteps: number;
  /** The image that it all stands on. */
  readonly base?: BaseRecord;
  /** The first step that was executed. */
  readonly executed?: string;
}
