// The exit status of the program. Scripts rely on these numbers; README lists them.
import type { ErrorCode } from '../errors.ts';

/** 0 success, 1 the build or the command failed, 2 wrong usage, 70 a defect of slipway, 130 interrupted. */
export function exitStatusOf(code: ErrorCode): number {
  switch (code) {
    case 'usage':
      return 2;
    case 'internal':
      return 70;
    case 'interrupted':
      return 130;
    default:
      return 1;
  }
}
