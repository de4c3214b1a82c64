// A process that was started on behalf of a program ends with that program, however it ends (prctl(2), PR_SET_PDEATHSIG).
import { check, declareC } from './ffi.ts';

/** Set in the environment of such a process: the id of the program. */
export const parentMark = '_SLIPWAY_PARENT';

const PR_SET_PDEATHSIG = 1;
const SIGTERM = 15;

/** This process gets SIGTERM when its parent ends, if the parent has asked for it. Starting anew takes it back. */
export function endWithParent(env: Readonly<Record<string, string | undefined>>): void {
  const parent = env[parentMark];
  if (parent === undefined) return;
  check(declareC('int prctl(int option, ulong value)')(PR_SET_PDEATHSIG, SIGTERM), 'prctl');
  // It may have ended before the line above.
  if (process.ppid !== Number(parent)) process.kill(process.pid, 'SIGTERM');
}
