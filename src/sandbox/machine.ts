// Limits of this machine that the rungs ask for.
import { readFileSync } from 'node:fs';
import { inUserNamespace } from '../host/ids.ts';
import { hasCapability } from '../host/probe.ts';

/** As many as Docker's own service allows. */
const OPEN_FILES = 1 << 20;
const CAP_SYS_RESOURCE = 24;

/** The number of open files to allow a step: 1048576, or as many as this process may give away. */
export function mostOpenFiles(): number {
  if (hasCapability(CAP_SYS_RESOURCE) && !inUserNamespace()) return OPEN_FILES;
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '1024';
  return hard === 'unlimited' ? OPEN_FILES : Math.min(OPEN_FILES, Number(hard));
}
