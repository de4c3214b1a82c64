// Facts of this machine that the rungs ask for: limits and where cgroups are.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCapability } from '../host/probe.ts';

/** As many as Docker's own service allows. */
const OPEN_FILES = 1 << 20;
const CAP_SYS_RESOURCE = 24;

/** The number of open files to allow a step: 1048576, or as many as this process may give away. */
export function mostOpenFiles(): number {
  if (hasCapability(CAP_SYS_RESOURCE)) return OPEN_FILES;
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '1024';
  return hard === 'unlimited' ? OPEN_FILES : Math.min(OPEN_FILES, Number(hard));
}

/** Whether /sys/fs/cgroup is the unified hierarchy (cgroup v2) alone. */
export function hasUnifiedCgroups(): boolean {
  return existsSync('/sys/fs/cgroup/cgroup.controllers');
}

/** The directories below which a runtime makes cgroups for `/name`: of each hierarchy, its root and where this process is. */
export function cgroupPlaces(): readonly string[] {
  const root = '/sys/fs/cgroup';
  const places = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .flatMap(line => {
      const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      if (controllers === undefined || path === undefined) return [];
      const name = controllers === '' && !hasUnifiedCgroups() ? 'unified' : controllers.replace('name=', '');
      return [join(root, name), join(root, name, path)];
    });
  return [...new Set(places)];
}
