// What a step leaves behind is removed, whatever it is.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { removeDir } from '../../src/sandbox/remove-dir.ts';
import { tempDir } from '../support/rootfs.ts';

test('directories of any mode, a file and what is gone already are removed', () => {
  using temp = tempDir();
  const dir = join(temp.path, 'dir');
  mkdirSync(join(dir, 'shut/inner'), { recursive: true });
  writeFileSync(join(dir, 'shut/inner/secret'), 'x');
  chmodSync(join(dir, 'shut/inner'), 0);
  chmodSync(join(dir, 'shut'), 0);
  const file = join(temp.path, 'file');
  writeFileSync(file, 'secret');
  for (const path of [dir, file, join(temp.path, 'gone')]) {
    removeDir(path);
    assert.ok(!existsSync(path), path);
  }
});
