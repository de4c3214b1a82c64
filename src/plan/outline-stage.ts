// A stage of the outline: where it begins and which instructions it has.
import type { FromInstruction, StageInstruction } from '../dockerfile/instructions.ts';
import type { Platform } from '../image/platform.ts';
import type { BaseRequest, Origin } from './steps.ts';

export interface OutlineStage {
  readonly index: number;
  readonly name?: string;
  /** For people: the name, or `stage-<index>`. */
  readonly label: string;
  readonly platform: Platform;
  readonly origin: Origin;
  /** The request that `origin` needs when it is an image. */
  readonly base?: BaseRequest;
  readonly from: FromInstruction;
  /** What FROM names, after expansion. */
  readonly baseName: string;
  /** A named context stands in for this stage: it has no instructions of its own. */
  readonly replaced: boolean;
  readonly instructions: readonly StageInstruction[];
}
