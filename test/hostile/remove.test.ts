// Removing trees of somebody else's (CX-11, RT-08): links go, what they lead to stays; no mode, depth or mount is in the
// way or taken along.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Extractor } from '../../src/archive/extract.ts';
import type { BytePath } from '../../src/tree/entry.ts';
import { removeTree } from '../../src/tree/remove.ts';
import { inArena } from '../support/canary.ts';
import { withTempDir } from '../support/temp-dir.ts';

describe('removeTree', () => {
  it(
    'removes links and not what they lead to',
    inArena(({ root, canary }) => {
      mkdirSync(join(root, 't/d'), { recursive: true });
      symlinkSync(canary, join(root, 't/d/out'));
      symlinkSync(`${canary}/file`, join(root, 't/f'));
      symlinkSync(canary, join(root, 'top'));
      removeTree(join(root, 't'));
      removeTree(join(root, 'top'));
      assert.deepEqual(readdirSync(root), []);
    }),
  );
  it(
    'removes fifos, devices, names of any bytes and a single file; nothing there is fine',
    inArena(({ root }) => {
      mkdirSync(join(root, 't'));
      spawnSync('mkfifo', [join(root, 't/fifo')]);
      spawnSync('mknod', [join(root, 't/null'), 'c', '1', '3']);
      writeFileSync(Buffer.from(join(root, 't/a\xff\n'), 'latin1'), '');
      writeFileSync(join(root, 'single'), '');
      for (const name of ['t', 'single', 'missing']) removeTree(join(root, name));
      assert.deepEqual(readdirSync(root), []);
    }),
  );
  it('removes thousands of directories in each other', async () => {
    await withTempDir(dir => {
      const extractor = new Extractor(dir, { whiteouts: 'literal' });
      extractor.entry({
        path: `${'d/'.repeat(5000)}f` as BytePath,
        type: 'file',
        mode: 0,
        uid: 0,
        gid: 0,
        mtimeSec: 0,
        mtimeNsec: 0,
        size: 0,
      });
      extractor.finish();
      removeTree(join(dir, 'd'));
      assert.deepEqual(readdirSync(dir), []);
    });
  });
  it('removes what is closed to its own owner, without the rights of root', async () => {
    await withTempDir(dir => {
      chmodSync(dir, 0o777);
      const tree = join(dir, 't');
      const script = `
        process.setgid(65534); process.setuid(65534);
        const fs = await import('node:fs');
        const { removeTree } = await import(process.argv[1]);
        fs.mkdirSync(process.argv[2] + '/a/b', { recursive: true });
        fs.writeFileSync(process.argv[2] + '/a/b/f', '');
        for (const [path, mode] of [['/a/b', 0], ['/a', 0o500], ['', 0]]) fs.chmodSync(process.argv[2] + path, mode);
        removeTree(process.argv[2]);`;
      const module = new URL('../../src/tree/remove.js', import.meta.url).href;
      const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, module, tree], {
        encoding: 'utf8',
      });
      assert.equal(run.status, 0, run.stderr);
      assert.ok(!existsSync(tree));
    });
  });
  it('does not enter a mount, and takes nothing from it', async () => {
    await withTempDir(dir => {
      for (const name of ['tree/mounted', 'precious']) mkdirSync(join(dir, name), { recursive: true });
      writeFileSync(join(dir, 'precious/file'), 'kept');
      const code = `import { removeTree } from '${new URL('../../src/tree/remove.js', import.meta.url)}';
        try { removeTree(process.argv[1]); console.log('removed'); } catch (error) { console.log(error.code + ': ' + error.message); }`;
      const script =
        'mount --bind "$1/precious" "$1/tree/mounted" && "$2" --input-type=module -e "$3" "$1/tree"';
      const run = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', dir, process.execPath, code], {
        encoding: 'utf8',
      });
      assert.match(run.stdout, /mounted|EBUSY/, run.stderr);
      assert.deepEqual(readdirSync(join(dir, 'precious')), ['file']);
    });
  });
});
