// Processes that a step has left behind where there is no pid namespace to end them with: they are known by two resource
// limits of odd values, which are passed on to children and can be read by everybody. A step with the rights of root can
// take them off: this is order, not security. What is here is also loaded by a program that must start fast
// (clear-up.ts): it needs nothing but /proc.
import { readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { BuildError, errnoOf } from '../errors.ts';
import { readOr } from '../host/probe.ts';

/** Below what the kernel gives everybody. */
const LARGEST_MARK = 800_000;
/** Below it, a step could notice that few signals can wait for it. */
const FEW_SIGNALS = 1000;
const WAIT_MS = 5;
const WATCH_MS = 100;

/** Two odd numbers that no other run has: bytes of message queues, waiting signals. */
export type StrayMark = readonly [number, number];

let last = 0;

/**
 * @param random from 0 to 1
 * @param own limits of this process: a mark is never what those bear who are not of the step, and only a lower limit may
 *   be set by everybody
 * @throws BuildError `sandbox` where nothing is lower
 */
export function makeStrayMark(random: number, own: StrayMark = ownLimits()): StrayMark {
  last = (last + 1) % FEW_SIGNALS;
  const [bytes, signals] = own;
  if (signals < 2)
    throw new BuildError('sandbox', 'the limit of pending signals (ulimit -i) is too low here');
  const fewest = Math.min(FEW_SIGNALS, Math.floor(signals / 2));
  const span = Math.min(FEW_SIGNALS, signals - fewest);
  const first = Math.floor(random * Math.min(LARGEST_MARK, bytes));
  return [first, fewest + ((last + Math.floor(random * 1e9)) % span)];
}

/** Hard limits of this process. */
function ownLimits(): StrayMark {
  const limits = readOr('/proc/self/limits', '');
  const hard = (title: string) =>
    Number(new RegExp(`^Max ${title}\\s+\\d+\\s+(\\d+)\\s`, 'm').exec(limits)?.[1] ?? LARGEST_MARK);
  return [hard('msgqueue size'), hard('pending signals')];
}

/**
 * Kills every process that bears the mark until none is left that may be killed.
 * @param looks how often none must be found. A process that forks and ends just then hides its child from a single look
 */
export async function killStrays(mark: StrayMark, looks = 1): Promise<void> {
  for (let left = looks; ; ) {
    if (marked(mark).filter(pid => kill(Number(pid))).length > 0) left = Math.max(looks, 2);
    else if (--left <= 0) return;
    await setTimeout(WAIT_MS);
  }
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
  return !isDead(readOr(`/proc/${pid}/status`, ''));
}

/** A process whose first thread alone has ended is called a zombie, too. */
function isDead(status: string): boolean {
  if (status === '') return true;
  return /^State:\s+[ZX]/m.test(status) && !/^Threads:\s+([2-9]|\d\d)/m.test(status);
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
