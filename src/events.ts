// Everything slipway can say happened, as names, ids, numbers and places. cli/progress/ draws it.
import type { Diagnostic } from './errors.ts';

/** How a unit of work (a step, a pull, an export) ended. */
export type Outcome = 'done' | 'cached' | 'failed' | 'cancelled';

export type BuildEvent =
  /** A unit of work begins. `id` is unique in a build; `name` is what a person reads: `[build 2/5] RUN npm ci`. */
  | { readonly kind: 'start'; readonly id: string; readonly name: string; readonly atMs: number }
  /** Bytes written by the command of a step. */
  | {
      readonly kind: 'output';
      readonly id: string;
      readonly stream: 'stdout' | 'stderr';
      readonly data: Uint8Array;
      readonly atMs: number;
    }
  /** How far a transfer is; `total` is 0 while unknown. `item` names what is moved (a digest, a file). */
  | {
      readonly kind: 'progress';
      readonly id: string;
      readonly item: string;
      readonly current: number;
      readonly total: number;
      readonly atMs: number;
    }
  /** A line about a unit of work, such as the reason why it was not cached. */
  | { readonly kind: 'note'; readonly id: string; readonly text: string; readonly atMs: number }
  | {
      readonly kind: 'end';
      readonly id: string;
      readonly outcome: Outcome;
      readonly error?: string;
      readonly atMs: number;
    }
  /** A finding that does not stop the build; repeated at its end. */
  | { readonly kind: 'warning'; readonly diagnostic: Diagnostic; readonly atMs: number };

/** Receives events in the order they happen; never throws. */
export type Emit = (event: BuildEvent) => void;

/** For callers that do not listen. */
export const silent: Emit = () => {};
