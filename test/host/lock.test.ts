import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { tryLock, waitForLock } from '../../src/host/lock.ts';
import { withTempDir } from '../support/temp-dir.ts';

describe('a lock', () => {
  it('excludes others until it is released, on files and on directories', () =>
    withTempDir(dir => {
      mkdirSync(join(dir, 'd'));
      for (const path of [join(dir, 'f'), join(dir, 'd')]) {
        const lock = tryLock(path, 'exclusive');
        assert.ok(lock);
        assert.equal(tryLock(path, 'exclusive'), undefined);
        assert.equal(tryLock(path, 'shared'), undefined);
        lock.release();
        lock.release();
        const again = tryLock(path, 'exclusive');
        assert.ok(again);
        again.release();
      }
      assert.equal(statSync(join(dir, 'f')).mode & 0o077, 0);
    }));

  it('can be shared, and then excludes the exclusive', () =>
    withTempDir(dir => {
      const path = join(dir, 'f');
      const [a, b] = [tryLock(path, 'shared'), tryLock(path, 'shared')];
      assert.ok(a && b);
      a.release();
      assert.equal(tryLock(path, 'exclusive'), undefined);
      b.release();
      const alone = tryLock(path, 'exclusive');
      assert.ok(alone);
      alone.release();
    }));

  it('ends with the process that holds it, killed or not', () =>
    withTempDir(async dir => {
      const path = join(dir, 'f');
      const holder = spawn('flock', [path, '-c', 'echo locked; exec sleep 60'], {
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      });
      await once(holder.stdout, 'data');
      assert.equal(tryLock(path, 'exclusive'), undefined);
      process.kill(-(holder.pid ?? 0), 'SIGKILL');
      (await waitForLock(path, 'exclusive')).release();
    }));

  it('is not taken on a file that was removed and made anew', () =>
    withTempDir(async dir => {
      const path = join(dir, 'f');
      const old = tryLock(path, 'exclusive');
      rmSync(path);
      const fresh = tryLock(path, 'exclusive');
      assert.ok(fresh, 'the file at the path is another one now');
      old?.release();
      assert.equal(tryLock(path, 'exclusive'), undefined);
      fresh.release();
    }));

  it('can be waited for, and the waiting can be ended', () =>
    withTempDir(async dir => {
      const path = join(dir, 'f');
      const lock = tryLock(path, 'exclusive');
      const stop = new AbortController();
      const waiting = waitForLock(path, 'exclusive', stop.signal);
      stop.abort();
      await assert.rejects(waiting, { code: 'interrupted' });
      const next = waitForLock(path, 'exclusive');
      lock?.release();
      (await next).release();
    }));
});
