import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { digestOf } from '../../src/image/digest.ts';
import { BytesPool } from '../../src/layer/pool.ts';
import type { BytePath, ContentSource } from '../../src/tree/entry.ts';

const bytes = (text: string): ContentSource => ({ kind: 'bytes', bytes: Buffer.from(text) });
const hash = (...contents: ContentSource[]) => ({ kind: 'hash', contents }) as const;

describe('the pool of bytes workers', () => {
  let dir: string;
  const pool = new BytesPool(2);

  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'slipway-pool-'));
  });
  after(async () => {
    await pool.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Takes seconds to hash and no room on the disk. */
  function large(): ContentSource {
    const file = join(dir, 'large');
    writeFileSync(file, '');
    truncateSync(file, 64 * 1024 ** 3);
    return { kind: 'range', file, offset: 0, size: 64 * 1024 ** 3 };
  }

  it('does many more jobs than it has threads', async () => {
    const texts = Array.from({ length: 50 }, (_, i) => `text ${i}`);
    const results = await Promise.all(texts.map(text => pool.run(hash(bytes(text)))));
    assert.deepEqual(
      results,
      texts.map(text => [digestOf(text)]),
    );
  });

  it('throws what the job threw, with its code and facts', async () => {
    const content: ContentSource = { kind: 'in-tree', root: dir, path: 'no-such' as BytePath, size: 5 };
    await assert.rejects(pool.run(hash(content)), (error: unknown) => {
      assert.ok(error instanceof BuildError);
      assert.equal(error.code, 'context');
      assert.equal(error.facts.path, 'no-such');
      assert.ok(error.hint);
      return true;
    });
  });

  it('keeps the name of a system error', async () => {
    const content: ContentSource = { kind: 'range', file: join(dir, 'absent'), offset: 0, size: 5 };
    await assert.rejects(pool.run(hash(content)), { code: 'ENOENT' });
  });

  it('ends a job that is aborted, and the ones that wait, and goes on with the next', async () => {
    const small = new BytesPool(1);
    const [running, waiting] = [new AbortController(), new AbortController()];
    const first = small.run(hash(large()), running.signal);
    const second = small.run(hash(bytes('x')), waiting.signal);
    const third = small.run(hash(bytes('y')));
    waiting.abort();
    await assert.rejects(second, (e: unknown) => e instanceof BuildError && e.code === 'interrupted');
    running.abort(new BuildError('interrupted', 'stopped by the user'));
    await assert.rejects(first, /stopped by the user/);
    assert.deepEqual(await third, [digestOf('y')]);
    await assert.rejects(small.run(hash(bytes('z')), running.signal), /stopped by the user/);
    await small.close();
  });

  it('rejects what it has when it is closed', async () => {
    const small = new BytesPool(1);
    const jobs = Promise.allSettled([small.run(hash(large())), small.run(hash(bytes('x')))]);
    await small.close();
    for (const result of await jobs) assert.equal(result.status, 'rejected');
  });

  it('keeps the process alive while it works, and no longer', () => {
    const script = `
      import { BytesPool } from ${JSON.stringify(new URL('../../src/layer/pool.js', import.meta.url).href)};
      const pool = new BytesPool(2);
      const one = { kind: 'hash', contents: [{ kind: 'bytes', bytes: new Uint8Array(3e7) }] };
      pool.run(one).then(() => pool.run(one)).then(() => console.log('done'));
    `;
    const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 60_000 });
    assert.equal(out.toString(), 'done\n');
  });
});
