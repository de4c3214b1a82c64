// Cgroups that a runtime makes for a step, and what is left of them when it was killed.
import { existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
const PREFIX = 'slipway-';
const YOUNG_MS = 60_000;
let swept = false;

/** A name for the cgroups of one run. @param unique differs for every run on this machine */
export function cgroupName(unique: string): string {
  return PREFIX + unique;
}

/** Whether /sys/fs/cgroup is the unified hierarchy (cgroup v2) alone. */
export function hasUnifiedCgroups(): boolean {
  return existsSync(join(root, 'cgroup.controllers'));
}

/** Removes the cgroups of a run if they are still there; the kernel lets only empty ones go. */
export function removeCgroups(name: string): void {
  for (const place of places()) removeEmpty(join(place, name));
}

/** Once in a process: removes what runs that were killed have left, a minute ago or earlier. */
export function sweepCgroups(): void {
  if (swept) return;
  swept = true;
  for (const place of places()) {
    const names = existsSync(place) ? readdirSync(place) : [];
    for (const name of names.filter(each => each.startsWith(PREFIX))) {
      const path = join(place, name);
      const born = statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? Date.now();
      if (Date.now() - born > YOUNG_MS) removeEmpty(path);
    }
  }
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // gone already, in use, or not ours
  }
}

/** The directories below which a runtime makes cgroups for `/name`: of each hierarchy, its root and where this process is. */
function places(): readonly string[] {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  const found = lines.flatMap(line => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) return [];
    const name = controllers === '' && !hasUnifiedCgroups() ? 'unified' : controllers.replace('name=', '');
    return [join(root, name), join(root, name, path)];
  });
  return [...new Set(found)];
}
