// Which user and group ids an ordinary user may use besides its own (subuid(5), subgid(5)), and the maps of a user
// namespace made of them (user_namespaces(7)).
import { readFileSync } from 'node:fs';

/** A run of ids: `length` ids inside from `inside` on are those outside from `outside` on. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly length: number;
}

/** 2^32 - 1 is no id. */
const MOST_IDS = 0xffff_ffff;

/**
 * The ranges that a file such as /etc/subuid gives to a user, in its order: `[first id, how many]`.
 * @param names the user's name and id, as the file may say either
 */
export function parseSubordinateIds(
  text: string,
  names: readonly string[],
): readonly (readonly [number, number])[] {
  return text.split('\n').flatMap(line => {
    const [name, first, count, ...rest] = line.trim().split(':');
    if (name === undefined || !names.includes(name) || rest.length > 0) return [];
    if (!/^\d+$/.test(first ?? '') || !/^\d+$/.test(count ?? '')) return [];
    const range = [Number(first), Number(count)] as const;
    return range[1] > 0 && range[0] + range[1] <= MOST_IDS ? [range] : [];
  });
}

/** A map in which the user is 0 and its subordinate ids are 1 and up. */
export function idMap(own: number, ranges: readonly (readonly [number, number])[]): readonly IdRange[] {
  const map: IdRange[] = [{ inside: 0, outside: own, length: 1 }];
  let next = 1;
  for (const [outside, length] of ranges) {
    map.push({ inside: next, outside, length });
    next += length;
  }
  return map;
}

/** As newuidmap takes it: three numbers for each range. */
export function mapArguments(map: readonly IdRange[]): readonly string[] {
  return map.flatMap(({ inside, outside, length }) => [inside, outside, length].map(String));
}

/** A file such as /etc/subuid; empty when there is none. */
export function readIdFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** How many ids exist in this process's user namespace; all there are outside of any. */
export function mappedIds(kind: 'uid' | 'gid'): number {
  const lines = readIdFile(`/proc/self/${kind}_map`).trim().split('\n');
  const count = lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/)[2] ?? 0), 0);
  return count === 0 ? MOST_IDS : count;
}

/** Whether this process is in a user namespace that does not have all ids. */
export function inUserNamespace(): boolean {
  return mappedIds('uid') < MOST_IDS;
}

/** Set in the environment of the program that was started anew: the user id outside, and how many ids there are. */
export const rootlessMark = '_SLIPWAY_ROOTLESS';

/** What a program that was started anew knows of itself. */
export interface Rootless {
  /** The user id outside. */
  readonly uid: number;
  /** full: subordinate ids are there; single: no id but 0 exists. */
  readonly ids: 'full' | 'single';
}

/** @returns undefined when this process was not started by sandbox/rootless.ts */
export function rootlessOf(env: Readonly<Record<string, string | undefined>>): Rootless | undefined {
  const [, uid, ids] = /^(\d+):(full|single)$/.exec(env[rootlessMark] ?? '') ?? [];
  if (uid === undefined) return undefined;
  return { uid: Number(uid), ids: ids === 'full' ? 'full' : 'single' };
}

/** Whether the owners that an image asks for can be given to files here: not by an ordinary user, nor with a single id. */
export function canGiveOwners(): boolean {
  return process.geteuid?.() === 0 && mappedIds('uid') > 1;
}
