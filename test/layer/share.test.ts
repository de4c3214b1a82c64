import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SharedWork } from '../../src/layer/share.ts';

const never = () => new AbortController().signal;

describe('shared work', () => {
  it('runs once for all who ask at the same time, and again afterwards', async () => {
    const work = new SharedWork();
    let runs = 0;
    const count = async () => ++runs;
    assert.deepEqual(
      await Promise.all([work.run('k', never(), count), work.run('k', never(), count)]),
      [1, 1],
    );
    assert.equal(await work.run('k', never(), count), 2);
  });

  it('tells all of them when it fails', async () => {
    const work = new SharedWork();
    const fail = async () => {
      throw new Error('no');
    };
    const results = await Promise.allSettled([work.run('k', never(), fail), work.run('k', never(), fail)]);
    assert.deepEqual(
      results.map(r => r.status),
      ['rejected', 'rejected'],
    );
  });

  it('goes on when one of two stops waiting, and ends when both do', async () => {
    const work = new SharedWork();
    const [one, two] = [new AbortController(), new AbortController()];
    let aborted = false;
    const start = (signal: AbortSignal) =>
      work.run(
        'k',
        signal,
        own =>
          new Promise<void>((_, reject) => {
            own.addEventListener('abort', () => {
              aborted = true;
              reject(own.reason);
            });
          }),
      );
    const first = start(one.signal);
    const second = start(two.signal);
    one.abort(new Error('one left'));
    await assert.rejects(first, /one left/);
    assert.equal(aborted, false);
    two.abort(new Error('two left'));
    await assert.rejects(second, /two left/);
    assert.equal(aborted, true);
  });

  it('does not begin for somebody who has stopped waiting already', async () => {
    const work = new SharedWork();
    await assert.rejects(
      work.run('k', AbortSignal.abort(new Error('late')), async () => assert.fail('ran')),
      /late/,
    );
  });
});
