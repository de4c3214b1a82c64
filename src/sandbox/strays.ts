// Processes that a step has left behind where there is no pid namespace to end them with: they are known by two resource
// limits of odd values, which are passed on to children and can be read by everybody. A step with the rights of root can
// take them off: this is order, not security. What is here is also loaded by a program that must start fast
// (clear-up.ts): it needs nothing but /proc.
import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { errnoOf } from '../errors.ts';
import { readOr } from '../host/probe.ts';

/** Below the kernel's defaults for both, so that everybody may set it. */
const LARGEST_MARK = 800_000;
const WAIT_MS = 5;
const WATCH_MS = 100;

/** Two odd numbers that no other run has. */
export type StrayMark = readonly [number, number];

let last = 0;

/** @param random from 0 to 1 */
export function makeStrayMark(random: number): StrayMark {
  last = (last + 1) % 1000;
  return [1 + Math.floor(random * LARGEST_MARK), 1000 + last];
}

/** Kills every process that bears the mark until none is left that may be killed. */
export async function killStrays(mark: StrayMark): Promise<void> {
  while (marked(mark).filter(pid => kill(Number(pid))).length > 0) await setTimeout(WAIT_MS);
}

/** Kills what bears the mark once its leader's only child, the command, has ended; the leader waits for all of them. */
export function watchStrays(mark: StrayMark, parent: number): { [Symbol.dispose](): void } {
  const timer = setInterval(() => {
    const found = marked(mark).map(pid => ({ pid, parent: parentOf(pid) }));
    const leader = found.find(each => each.parent === parent)?.pid;
    const others = found.filter(each => each.pid !== leader);
    if (leader === undefined || others.some(each => each.parent === Number(leader))) return;
    for (const { pid } of others) kill(Number(pid));
  }, WATCH_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

function marked(mark: StrayMark): readonly string[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name) && bears(name, mark));
}

function parentOf(pid: string): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readOr(`/proc/${pid}/status`, ''))?.[1] ?? 0);
}

function bears(pid: string, [first, second]: StrayMark): boolean {
  const limits = readOr(`/proc/${pid}/limits`, '');
  if (!new RegExp(`^Max msgqueue size\\s+${first}\\s+${first}\\s`, 'm').test(limits)) return false;
  if (!new RegExp(`^Max pending signals\\s+${second}\\s+${second}\\s`, 'm').test(limits)) return false;
  return !/^State:\s+[ZX]/m.test(readOr(`/proc/${pid}/status`, 'State: Z'));
}

/** @returns false when the kernel does not allow it: without CAP_KILL, root cannot end what runs as another user */
function kill(pid: number): boolean {
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    return errnoOf(error) !== 'EPERM'; // else it has ended already
  }
}
