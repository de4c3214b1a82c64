// Spelling suggestions: the nearest of the names that would have been right.

/** Names further away than this many edits are no suggestion. */
const MAX_DISTANCE = 2;

/** Longer words are not compared: a typing mistake happens in a short one. */
const MAX_LENGTH = 200;

/**
 * The option nearest to `word` within two edits (insert, delete, replace), the alphabetically first among equals.
 * Undefined when `word` is one of the options: then the word is not what is wrong. Case is ignored and taken over from
 * `word` (`RUM` gives `RUN`, `rum` gives `run`) unless `caseSensitive` is set.
 */
export function suggest(word: string, options: Iterable<string>, caseSensitive = false): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  const fold = (text: string) => (caseSensitive ? text : text.toLowerCase());
  const wanted = fold(word);
  let best: string | undefined;
  let bestDistance = MAX_DISTANCE + 1;
  for (const option of [...options].sort()) {
    const folded = fold(option);
    if (folded === wanted) return undefined;
    const distance = editDistance(wanted, folded, bestDistance);
    if (distance >= bestDistance) continue;
    best = option;
    bestDistance = distance;
  }
  if (best === undefined || caseSensitive) return best;
  if (word === word.toLowerCase()) return best.toLowerCase();
  return word === word.toUpperCase() ? best.toUpperCase() : best;
}

/** A hint that names the suggestion, ready for a Diagnostic. */
export function didYouMean(
  word: string,
  options: Iterable<string>,
  caseSensitive = false,
): string | undefined {
  const found = suggest(word, options, caseSensitive);
  return found === undefined ? undefined : `did you mean ${found}?`;
}

/** Levenshtein distance; any number not below `limit` when it is at least `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const change = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const cost = Math.min(change, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      row.push(cost);
      least = Math.min(least, cost);
    }
    if (least >= limit) return limit;
    previous = row;
  }
  return previous[b.length] ?? limit;
}
