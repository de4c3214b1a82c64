import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { defaultRetry, parseRetryAfter, type RetryPolicy, retrying } from '../../src/host/retry.ts';

const never = new AbortController().signal;

function scripted(change: Partial<RetryPolicy> = {}) {
  const pauses: number[] = [];
  let nowMs = 0;
  const sleep = async (ms: number) => {
    pauses.push(ms);
    nowMs += ms;
  };
  return { pauses, policy: { ...defaultRetry, random: () => 1, now: () => nowMs, sleep, ...change } };
}

const busy = (retryAfterMs?: number) =>
  new BuildError('network', 'busy', { facts: { retryable: true, retryAfterMs } });

describe('trying again', () => {
  it('doubles the pauses and gives up after five attempts with the last error', async () => {
    const { pauses, policy } = scripted();
    let count = 0;
    const failing = retrying(policy, never, async () => {
      count += 1;
      throw busy();
    });
    await assert.rejects(failing, { message: 'busy' });
    assert.equal(count, 5);
    assert.deepEqual(pauses, [500, 1000, 2000, 4000]);
  });

  it('waits a random part of the pause', async () => {
    const { pauses, policy } = scripted({ random: () => 0.25, attempts: 2 });
    await assert.rejects(retrying(policy, never, () => Promise.reject(busy())));
    assert.deepEqual(pauses, [125]);
  });

  it('does as the server says, within bounds', async () => {
    const { pauses, policy } = scripted({ attempts: 3 });
    const waits = [7000, 1e12];
    await assert.rejects(retrying(policy, never, () => Promise.reject(busy(waits.shift()))));
    assert.deepEqual(pauses, [7000, 30_000]);
  });

  it('begins nothing after two minutes', async () => {
    const { pauses, policy } = scripted({ attempts: 100 });
    await assert.rejects(retrying(policy, never, () => Promise.reject(busy(30_000))));
    assert.equal(pauses.length, 4);
  });

  it('does not repeat what is final', async () => {
    const { pauses, policy } = scripted();
    await assert.rejects(
      retrying(policy, never, () => Promise.reject(new BuildError('auth', 'no'))),
      { message: 'no' },
    );
    assert.deepEqual(pauses, []);
  });

  it('stops at once when it is interrupted', async () => {
    const { policy } = scripted();
    const stop = new AbortController();
    const work = retrying(policy, stop.signal, () => {
      stop.abort(new Error('enough'));
      return Promise.reject(busy());
    });
    await assert.rejects(work, { message: 'enough' });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  for (const [text, expected] of [
    ['3', 3000],
    [' 120 ', 120_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['Thu, 01 Jan 2015 00:01:00 GMT', 0],
    ['1000000000', 1e12],
    ['', undefined],
    ['-5', undefined],
    ['soon', undefined],
    ['2026', 2_026_000],
    [undefined, undefined],
  ] as const) {
    it(`${JSON.stringify(text)} means ${expected} ms`, () =>
      assert.equal(parseRetryAfter(text, now), expected));
  }
});
