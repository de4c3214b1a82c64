// Extraction without the rights of root: the caller's owner, restrictive modes, and what has to be refused.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { withTempDir } from '../support/temp-dir.ts';

/** Runs as nobody; `x` is the extractor, `e` makes an entry. */
function asNobody(dir: string, body: string): string {
  const module = new URL('../../src/archive/extract.js', import.meta.url).href;
  const script = `
    const { Extractor } = await import('${module}');
    process.setgroups([]); process.setgid(65534); process.setuid(65534);
    const x = new Extractor(${JSON.stringify(dir)}, { whiteouts: 'apply', ownership: 'caller' });
    const e = (path, type, mode, more = {}) => x.entry({ path, type, mode, uid: 0, gid: 0, mtimeSec: 5, mtimeNsec: 0, size: 0, ...more });
    try { ${body}; x.finish(); console.log('done'); } catch (error) { console.log(error.code + ': ' + error.message); } finally { x.close(); }`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return run.stdout.trim();
}

describe('extraction by somebody who is not root', () => {
  it('fills directories that are closed to their owner afterwards', async () => {
    await withTempDir(dir => {
      chmodSync(dir, 0o777);
      const entries = `e('a', 'directory', 0o000); e('a/b', 'directory', 0o500); e('a/b/f', 'file', 0o4000)`;
      assert.equal(asNobody(dir, entries), 'done');
      assert.equal(lstatSync(join(dir, 'a')).mode & 0o7777, 0);
      const file = lstatSync(join(dir, 'a/b/f'));
      assert.deepEqual([file.uid, file.mode & 0o7777, file.mtimeMs], [65534, 0o4000, 5000]);
      assert.equal(lstatSync(join(dir, 'a/b')).mode & 0o7777, 0o500);
    });
  });
  it('makes fifos, and refuses devices with a hint', async () => {
    await withTempDir(dir => {
      chmodSync(dir, 0o777);
      assert.equal(asNobody(dir, `e('p', 'fifo', 0o600)`), 'done');
      const refused = asNobody(dir, `e('null', 'char', 0o666, { devMajor: 1, devMinor: 3 })`);
      assert.match(refused, /^unsupported: the device 'null' cannot be made/);
    });
  });
  it('says so when a directory may not be written', async () => {
    await withTempDir(dir => {
      chmodSync(dir, 0o755);
      assert.match(asNobody(dir, `e('f', 'file', 0o600)`), /^store: cannot extract 'f': EACCES/);
    });
  });
});
