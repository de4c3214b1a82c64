import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runGraph, type Schedule } from '../../src/build/scheduler.ts';

const never = new AbortController().signal;

/** A sum over a graph: each node's value plus those of its needs. */
function sums(needs: Record<string, string[]>, trace: string[] = []) {
  return async (key: string, schedule: Schedule<string, number>) => {
    const parts = await Promise.all((needs[key] ?? []).map(schedule.wait));
    return schedule.work(async () => {
      trace.push(key);
      return parts.reduce((a, b) => a + b, 1);
    });
  };
}

test('a diamond is computed once per node, needs first', async () => {
  const trace: string[] = [];
  const results = await runGraph(['d'], sums({ d: ['b', 'c'], b: ['a'], c: ['a'] }, trace), 2, never);
  assert.equal(results.get('d'), 5);
  assert.deepEqual([...trace].sort(), ['a', 'b', 'c', 'd']);
  assert.equal(trace[0], 'a');
  assert.equal(trace.at(-1), 'd');
});

test('no more pieces of work run at once than allowed, and waiting for another unit holds no slot', async () => {
  let running = 0;
  let most = 0;
  const run = async (key: number, schedule: Schedule<number, number>): Promise<number> => {
    if (key > 0) await schedule.wait(key - 1);
    return schedule.work(async () => {
      most = Math.max(most, ++running);
      await new Promise(resolve => setImmediate(resolve));
      running--;
      return key;
    });
  };
  await runGraph([5, 4, 3, 2, 1, 0], run, 1, never);
  assert.equal(most, 1);
  most = 0;
  const free = async (key: number, schedule: Schedule<number, number>) =>
    schedule.work(async () => {
      most = Math.max(most, ++running);
      await new Promise(resolve => setImmediate(resolve));
      running--;
      return key;
    });
  await runGraph([0, 1, 2, 3, 4], free, 3, never);
  assert.equal(most, 3);
});

test('the first failure is the one reported, and stops what has not begun', async () => {
  const begun: string[] = [];
  const run = async (key: string, schedule: Schedule<string, string>): Promise<string> => {
    if (key === 'late') await new Promise(resolve => schedule.signal.addEventListener('abort', resolve));
    return schedule.work(async () => {
      begun.push(key);
      if (key === 'bad') throw new Error('broken');
      return key;
    });
  };
  await assert.rejects(runGraph(['late', 'bad'], run, 2, never), /broken/);
  assert.deepEqual(begun, ['bad']);
});

test('an abort from outside ends the graph as interrupted', async () => {
  const stop = new AbortController();
  const run = async (key: string, schedule: Schedule<string, string>): Promise<string> =>
    schedule.work(async () => {
      stop.abort();
      return key;
    });
  await assert.rejects(runGraph(['a'], run, 1, stop.signal), { code: 'interrupted' });
});
