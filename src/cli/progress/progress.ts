// Chooses how events are drawn. Progress goes to stderr, results to stdout.
import type { Progress, ProgressSink } from './sink.ts';

export type ProgressMode = 'auto' | 'plain' | 'tty' | 'quiet' | 'rawjson';

export const progressModes: readonly string[] = ['auto', 'plain', 'tty', 'quiet', 'none', 'rawjson'];

/** @param mode auto is `tty` when the sink is a terminal, `plain` otherwise */
export async function openProgress(mode: ProgressMode, sink: ProgressSink): Promise<Progress> {
  const wanted = mode === 'auto' ? (sink.isTTY ? 'tty' : 'plain') : mode;
  // A terminal that nobody gave a size has no columns (expect, ssh -tt, CI runners). In it, ora never ends to count lines.
  const chosen = wanted === 'tty' && sink.columns === 0 ? 'plain' : wanted;
  switch (chosen) {
    case 'tty':
      return (await import('./tty.ts')).ttyProgress(sink);
    case 'rawjson':
      return (await import('./json.ts')).jsonProgress(sink);
    case 'quiet':
      return { emit: () => {}, close: () => {} };
    default:
      return (await import('./plain.ts')).plainProgress(sink);
  }
}
