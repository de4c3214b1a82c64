// A build that meets damage does its work again.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
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
