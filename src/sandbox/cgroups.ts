// The cgroups of this machine: which hierarchies there are and where this process is in them; what runtimes leave behind
// when they are killed.
import { existsSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readOr } from '../host/probe.ts';

const PREFIX = 'slipway-';
const YOUNG_MS = 60_000;
let swept = false;

/** A tree of cgroups. */
export interface Hierarchy {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  /** Directory of the topmost cgroup that can be seen here. */
  readonly top: string;
  /** Directory of the cgroup that this process is in. */
  readonly own: string;
}

/** A name for the cgroups of one run. @param unique differs for every run on this machine */
export function cgroupName(unique: string): string {
  return `${PREFIX}${process.pid}-${unique}`;
}

/** Whether /sys/fs/cgroup is the unified hierarchy (cgroup v2) alone. */
export function hasUnifiedCgroups(): boolean {
  return existsSync('/sys/fs/cgroup/cgroup.controllers');
}

/** What the limits of a step need. */
const limiting = ['cpu', 'cpuset', 'memory'];

/**
 * Where version 2 is mounted beside version 1 and has nothing to do with steps: devices and all that is limited are
 * version 1's.
 * @returns undefined where that is not so
 */
export function idleUnified(all: readonly Hierarchy[]): string | undefined {
  const older = all.filter(({ version }) => version === 1).flatMap(({ controllers }) => controllers);
  const unified = all.find(({ version }) => version === 2);
  if (unified === undefined || !older.includes('devices')) return undefined;
  return unified.controllers.some(each => limiting.includes(each)) ? undefined : unified.top;
}

/** The hierarchies that are mounted. */
export function hierarchies(): readonly Hierarchy[] {
  return parseHierarchies(
    readFileSync('/proc/thread-self/mountinfo', 'utf8'),
    readOr('/proc/self/cgroup', ''),
    top => readOr(join(top, 'cgroup.controllers'), ''),
  );
}

/**
 * @param mounts as /proc/PID/mountinfo
 * @param membership as /proc/PID/cgroup
 * @param unified controllers of a version 2 hierarchy, by its directory
 */
export function parseHierarchies(
  mounts: string,
  membership: string,
  unified: (top: string) => string,
): readonly Hierarchy[] {
  const paths = membership.split('\n').flatMap(line => {
    const [, id, controllers, path] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    return path === undefined ? [] : [{ id, controllers: (controllers ?? '').split(','), path }];
  });
  const found = mounts.split('\n').flatMap(line => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , device, root, top] = left.split(' ');
    const [type, , options = ''] = right.split(' ');
    if (root === undefined || top === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
    const version = type === 'cgroup2' ? (2 as const) : (1 as const);
    const mine = paths.find(({ id, controllers }) =>
      version === 2 ? id === '0' : controllers.every(each => options.split(',').includes(each)),
    );
    if (mine === undefined) return [];
    const controllers =
      version === 2
        ? unified(top).trim().split(' ')
        : mine.controllers.filter(each => !each.startsWith('name='));
    return [{ device, hierarchy: { version, controllers, top, own: ownDirectory(top, root, mine.path) } }];
  });
  // One may be mounted at several places, and the first is the usual one.
  return found
    .filter(({ device }, i) => found.findIndex(each => each.device === device) === i)
    .map(({ hierarchy }) => hierarchy);
}

/** A container may see a part of the tree only, and be outside of what it sees. */
function ownDirectory(top: string, root: string, path: string): string {
  const prefix = root === '/' ? '' : root;
  const isBelow = path.startsWith(`${prefix}/`) && !path.split('/').includes('..');
  return isBelow ? top + path.slice(prefix.length).replace(/\/$/, '') : top;
}

/** Removes the cgroups of a run if they are still there; the kernel lets only empty ones go. */
export function removeCgroups(name: string): void {
  for (const place of places()) removeCgroup(join(place, name));
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
      if (Date.now() - born > YOUNG_MS) removeCgroup(path);
    }
  }
}

/** Removes a cgroup with those below it. @returns whether it is gone */
export function removeCgroup(path: string): boolean {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(path, entry.name));
    }
    rmdirSync(path);
    return true;
  } catch {
    // gone already, in use, or not ours
    return !existsSync(path);
  }
}

/** The directories below which a runtime makes cgroups for `/name`: of each hierarchy, its root and where this process is. */
function places(): readonly string[] {
  return [...new Set(hierarchies().flatMap(({ top, own }) => [top, own]))];
}
