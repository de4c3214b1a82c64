// Where progress is drawn, and what drawing it takes.
import type { Emit } from '../../events.ts';

export interface ProgressSink {
  write(text: string): void;
  readonly isTTY: boolean;
  readonly columns: number;
}

export interface Progress {
  readonly emit: Emit;
  /** Draws what is left and restores the terminal; call once, also after a failure. */
  close(): void;
}
