// How an image came to be: one row for each instruction, newest first.
import type { HistoryEntry, ImageConfig } from '../image/config.ts';
import type { Digest } from '../image/digest.ts';

export interface HistoryRow {
  /** Known of the image itself only; what it was made of has no id here. */
  readonly id?: Digest;
  readonly created?: string;
  readonly createdBy: string;
  readonly comment: string;
  /** Bytes of the layer that the instruction made; 0 when it made none. */
  readonly size: number;
}

/** @param sizes of the layers, lowest first */
export function historyOf(config: ImageConfig, id: Digest, sizes: readonly number[]): HistoryRow[] {
  const entries: readonly HistoryEntry[] =
    config.history.length > 0 ? config.history : config.diffIds.map(() => ({}));
  let layer = 0;
  const rows = entries.map(entry => ({
    ...(entry.created ? { created: entry.created } : {}),
    createdBy: entry.created_by ?? '',
    comment: entry.comment ?? '',
    size: entry.empty_layer ? 0 : (sizes[layer++] ?? 0),
  }));
  return rows.reverse().map((row, i) => (i === 0 ? { id, ...row } : row));
}
