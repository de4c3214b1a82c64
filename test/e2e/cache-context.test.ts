// Copied directories: what did not change is not read, what changed is noticed however well it hides.
import assert from 'node:assert/strict';
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildFiles, writeContext } from '../support/images.ts';
import { must, type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

/** Older than the doubt about files that changed just now. */
const settle = () => sleep(3100);

const files = {
  Dockerfile: 'FROM scratch\nCOPY src /src\nCOPY . /all\n',
  '.dockerignore': 'left-out\n',
  'src/a/one': 'one',
  'src/b/two': 'two',
  'left-out/three': 'three',
};

/** Files of the context that were opened. */
async function opened(slipway: Program, dir: string): Promise<string[]> {
  const log = join(slipway.dir, 'trace');
  const build = [process.execPath, join(repoRoot, 'bin/slipway.js'), 'build', '-q', dir];
  await must(['strace', '-f', '-y', '-e', 'trace=open,openat,openat2', '-o', log, ...build], {
    env: { SLIPWAY_ROOT: slipway.store },
  });
  const names = Object.keys(files).filter(name => !['Dockerfile', '.dockerignore'].includes(name));
  const lines = readFileSync(log, 'utf8').split('\n');
  return names.filter(name => lines.some(line => line.includes(`${name.split('/').at(-1)}"`)));
}

test('an unchanged context is looked over, not read; a changed one is read where it changed', async () => {
  using slipway = program();
  const dir = writeContext(slipway, files);
  await settle();
  const first = await slipway.must(['build', '-q', dir]);
  await slipway.must(['build', '-q', dir]); // the second COPY learns its stamp
  assert.deepEqual(await opened(slipway, dir), []);
  const again = await slipway.must(['build', '--progress=plain', '--iidfile', join(slipway.dir, 'id'), dir]);
  assert.equal(readFileSync(join(slipway.dir, 'id'), 'utf8'), first.stdout.trim());
  assert.match(again.stderr, /2 of 2 steps cached/);

  const path = join(dir, 'src/a/one');
  const { atime, mtime } = statSync(path);
  writeFileSync(path, 'eno');
  utimesSync(path, atime, mtime);
  assert.ok((await opened(slipway, dir)).includes('src/a/one'));
  const out = join(slipway.dir, 'out');
  await slipway.must(['build', '-o', out, dir]);
  assert.equal(readFileSync(join(out, 'src/a/one'), 'utf8'), 'eno');
  assert.equal(readFileSync(join(out, 'all/src/a/one'), 'utf8'), 'eno');
});

test('what an ignore file left out is there when the ignore file is gone', async () => {
  using slipway = program();
  const dir = writeContext(slipway, files);
  await settle();
  await slipway.must(['build', '-q', dir]);
  await slipway.must(['build', '-q', dir]);
  writeFileSync(join(dir, '.dockerignore'), '\n');
  assert.ok((await buildFiles(slipway, [dir])).has('all/left-out/three'));
});

test('what a machine knows of its files does not go into a cache that others read', async () => {
  const cache = (slipway: Program) => join(slipway.dir, 'cache');
  using first = program();
  const dir = writeContext(first, files);
  await settle();
  const spec = `type=local,dest=${cache(first)},mode=max`;
  await first.must(['build', '-q', '--cache-to', spec, dir]);
  const before = readFileSync(join(cache(first), 'index.json'), 'utf8');
  using second = program();
  const copy = writeContext(second, files);
  await settle();
  for (let i = 0; i < 2; i++) {
    const from = `type=local,src=${cache(first)}`;
    const build = ['build', '--progress=plain', '--cache-from', from, '--cache-to', spec, copy];
    assert.match((await second.must(build)).stderr, /2 of 2 steps cached/);
    assert.equal(
      readFileSync(join(cache(first), 'index.json'), 'utf8'),
      before,
      'there was nothing new to tell',
    );
  }
});
