// What the rungs ask about this machine.
import { existsSync, readFileSync } from 'node:fs';
import { inUserNamespace } from '../host/ids.ts';
import { hasCapability } from '../host/probe.ts';
import { limitTitle, type StepLimit } from './limits.ts';

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

/** The first of the limits that this process may not set, and how much it may. */
export function limitThatMayNotBeRaised(
  limits: readonly StepLimit[],
): { readonly limit: StepLimit; readonly most: number } | undefined {
  if (limits.length === 0 || (hasCapability(CAP_SYS_RESOURCE) && !inUserNamespace())) return undefined;
  const table = readFileSync('/proc/self/limits', 'latin1');
  for (const limit of limits) {
    const hard = new RegExp(`^Max ${limitTitle(limit.name)}\\s+\\S+\\s+(\\d+)`, 'm').exec(table)?.[1];
    const most = hard === undefined ? Number.POSITIVE_INFINITY : Number(hard);
    if ((limit.hard ?? Number.POSITIVE_INFINITY) > most) return { limit, most };
  }
  return undefined;
}

/** Which security modules give processes labels here. */
export function securityModules(): { readonly selinux: boolean; readonly appArmor: boolean } {
  return {
    selinux: existsSync('/sys/fs/selinux/enforce'),
    appArmor: existsSync('/sys/kernel/security/apparmor') || existsSync('/sys/module/apparmor'),
  };
}
