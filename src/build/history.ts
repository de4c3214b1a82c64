// History entries: who wrote them, and those of a base that disagree with its layers.
import type { HistoryEntry } from '../image/config.ts';

/** `comment` of the entries of this builder, so that readers can tell who wrote them. */
export const historyComment = 'slipway.dockerfile.v0';

/**
 * The history of a base whose entries and layers disagree, mended as BuildKit does: with too many entries the lowest
 * become empty, with too few unnamed ones are added.
 */
export function completeHistory(history: readonly HistoryEntry[], layers: number): HistoryEntry[] {
  let excess = history.filter(entry => !entry.empty_layer).length - layers;
  const mended = history.map(entry => {
    if (entry.empty_layer || excess <= 0) return entry;
    excess--;
    return { ...entry, empty_layer: true };
  });
  for (; excess < 0; excess++) mended.push({ comment: 'slipway: layer of the base image without history' });
  return mended;
}
