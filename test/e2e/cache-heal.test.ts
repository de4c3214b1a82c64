// A build that meets damage does its work again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'lmdb';
import { program } from '../support/program.ts';

test('a bit that flips in a stored layer before it is compressed is noticed, and the layer is made again', async () => {
  using slipway = program();
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY file /\n');
  writeFileSync(join(dir, 'file'), 'wanted '.repeat(10_000));
  await slipway.must(['build', '-q', '-t', 'x', dir]);
  const blobs = join(slipway.store, 'blobs/sha256');
  const tar = readdirSync(blobs).find(name => lstatSync(join(blobs, name)).size > 70_000) ?? assert.fail();
  const bytes = readFileSync(join(blobs, tar));
  bytes[40_000] = (bytes[40_000] ?? 0) ^ 1;
  writeFileSync(join(blobs, tar), bytes);
  const dest = join(slipway.dir, 'out.tar');
  const { stderr } = await slipway.must(['build', '-q', '-o', `type=oci,dest=${dest}`, dir]);
  assert.match(stderr, new RegExp(`^warning: the layer sha256:${tar} in the store is damaged`, 'm'));
  assert.equal(
    createHash('sha256')
      .update(readFileSync(join(blobs, tar)))
      .digest('hex'),
    tar,
    'made again',
  );
});

test('damaged records are misses with one warning, and are made again', async () => {
  using slipway = program();
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY file /\nWORKDIR /here\nCOPY file ./\n');
  writeFileSync(join(dir, 'file'), 'content');
  const build = () =>
    slipway.must(['build', '-t', 'x', '--progress=plain', dir], { env: { SOURCE_DATE_EPOCH: '1700000000' } });
  const steps = (stderr: string) => (stderr.match(/^#\d+ CACHED$/gm) ?? []).length;
  const idOf = async () => (await slipway.must(['image', 'inspect', '-f', '{{.Id}}', 'x'])).stdout;
  await build();
  const id = await idOf();
  const all = steps((await build()).stderr);
  assert.equal(all, 3);
  const db = open<string, string>({ path: join(slipway.store, 'meta'), encoding: 'string', cache: false });
  for (const { key, value } of [...db.getRange({ start: 'records/', end: 'records0' })])
    await db.put(key, value.replace('20', '21'));
  await db.close();
  const { stderr } = await build();
  assert.equal(steps(stderr), 0, stderr);
  const warnings = stderr.match(/^.*the store's database is damaged.*$/gm) ?? [];
  assert.equal(warnings.length, 1, stderr);
  assert.match(warnings[0] ?? '', /^warning: .* at records\/sha256:[0-9a-f]{64}, which is made again/);
  assert.equal(await idOf(), id);
  const healed = await build();
  assert.equal(steps(healed.stderr), all);
  assert.doesNotMatch(healed.stderr, /damaged/);
});
