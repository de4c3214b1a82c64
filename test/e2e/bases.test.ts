// Where bases come from and where images go: archives, layouts, registries.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseImages } from '../support/base-registry.ts';
import { freePort, startRegistry } from '../support/fixtures.ts';
import { must, type Program, program } from '../support/program.ts';

const registry = baseImages();

function context(slipway: Program, dockerfile: string): string {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

test('an image goes through every kind of file and is a base again', async () => {
  using slipway = registry.slipway();
  const first = context(slipway, 'FROM busybox\nRUN echo made > /made\nENV FROM_BASE=yes\n');
  const at = (name: string) => join(slipway.dir, name);
  const outputs = [
    '-o',
    `type=oci,dest=${at('o.tar')}`,
    '-o',
    `type=docker,dest=${at('d.tar')}`,
    '-o',
    `type=oci,tar=false,dest=${at('layout')}`,
  ];
  await slipway.must(['build', '-t', 'base:1', ...outputs, first]);
  await must([
    'skopeo',
    'copy',
    '-q',
    '--insecure-policy',
    `docker-archive:${at('d.tar')}`,
    `docker-archive:${at('skopeo.tar')}:base:1`,
  ]);
  await must(['sh', '-c', 'gzip -k "$0"', at('o.tar')]);
  for (const from of [
    `oci-archive:${at('o.tar')}`,
    `oci-archive:${at('o.tar.gz')}`,
    `docker-archive:${at('d.tar')}`,
    `docker-archive:${at('skopeo.tar')}`,
    `oci-layout://${at('layout')}`,
  ]) {
    using other = program();
    const out = join(other.dir, 'out');
    const dir = context(other, `FROM ${from}\nRUN echo "$FROM_BASE" >> /made\n`);
    await other.must(['build', '-o', out, dir]);
    assert.equal(readFileSync(join(out, 'made'), 'utf8'), 'made\nyes\n', from);
  }
});

test('an image pushed to a registry is pulled, inspected by skopeo and built from', async () => {
  using slipway = registry.slipway();
  const storage = join(slipway.dir, 'registry');
  mkdirSync(storage);
  const target = await startRegistry(storage);
  try {
    const name = `${target.address}/team/app`;
    const dir = context(slipway, 'FROM busybox\nCOPY Dockerfile /df\nRUN echo pushed > /pushed\nLABEL a=b\n');
    const built = await slipway.must([
      'build',
      '-t',
      `${name}:1`,
      '--push',
      '--metadata-file',
      join(slipway.dir, 'meta.json'),
      dir,
    ]);
    assert.equal(built.stdout, '');
    const meta = JSON.parse(readFileSync(join(slipway.dir, 'meta.json'), 'utf8'));
    const inspected = JSON.parse(
      await must(['skopeo', 'inspect', '--tls-verify=false', `docker://${name}:1`]),
    );
    assert.equal(inspected.Digest, meta['containerimage.digest']);
    assert.deepEqual(inspected.Labels, { a: 'b' });
    using other = program();
    const out = join(other.dir, 'out');
    await other.must(['build', '-o', out, context(other, `FROM ${name}:1\nRUN cat /pushed > /again\n`)]);
    assert.equal(readFileSync(join(out, 'again'), 'utf8'), 'pushed\n');
    const pulled = await other.must(['pull', `${name}@${inspected.Digest}`]);
    assert.match(pulled.stderr, new RegExp(`Digest: ${inspected.Digest}`));
    // What was kept in the store is packed and pushed later.
    await slipway.must(['build', '-t', `${name}:2`, dir]);
    const later = await slipway.must(['push', `${name}:2`]);
    assert.equal(later.stdout.trim(), inspected.Digest, 'the same image, whichever way it was pushed');
  } finally {
    await target.stop();
  }
});

test('zstd and uncompressed layers of a registry are bases, too', async () => {
  using slipway = registry.slipway();
  const storage = join(slipway.dir, 'registry');
  mkdirSync(storage);
  const target = await startRegistry(storage);
  try {
    for (const compression of ['zstd', 'uncompressed']) {
      const name = `${target.address}/${compression}`;
      const dir = context(slipway, 'FROM busybox\nRUN echo packed > /packed\n');
      await slipway.must([
        'build',
        '-t',
        name,
        '-o',
        `type=registry,compression=${compression},force-compression=true`,
        dir,
      ]);
      using other = program();
      const out = join(other.dir, 'out');
      await other.must(['build', '-o', out, context(other, `FROM ${name}\nRUN cat /packed > /seen\n`)]);
      assert.equal(readFileSync(join(out, 'seen'), 'utf8'), 'packed\n', compression);
    }
  } finally {
    await target.stop();
  }
});

test('squash puts everything above the base into one layer', async () => {
  using slipway = registry.slipway();
  const dir = context(
    slipway,
    'FROM busybox\nRUN echo 1 > /one\nRUN rm /one /bin/wget && echo 2 > /two\nCOPY Dockerfile /df\n',
  );
  const layout = join(slipway.dir, 'layout');
  await slipway.must(['build', '--squash', '-o', `type=oci,tar=false,dest=${layout}`, dir]);
  const blob = (digest: string) => join(layout, 'blobs', digest.replace(':', '/'));
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const manifest = json(blob(json(join(layout, 'index.json')).manifests[0].digest));
  assert.equal(manifest.layers.length, 2);
  const names = (await must(['tar', '-tzf', blob(manifest.layers[1].digest)])).trim().split('\n').sort();
  assert.deepEqual(names, ['bin/', 'bin/.wh.wget', 'df', 'two']);
  const config = json(blob(manifest.config.digest));
  assert.equal(config.history.filter((h: { empty_layer?: boolean }) => !h.empty_layer).length, 2);
});

test('an unreachable registry, a missing tag and a damaged blob are one clear message each, and the store stays usable', async () => {
  using slipway = registry.slipway();
  const nobody = `127.0.0.1:${await freePort()}`;
  for (const [from, pattern] of [
    [`${nobody}/x`, /error: .*127\.0\.0\.1:\d+.*(refused|cannot be reached)/],
    ['busybox:no-such-tag', /error: .*busybox:no-such-tag.*\n(?:.*\n)*> 1 \| FROM/],
    ['oci-archive:/nowhere.tar', /error: .*there is no file \/nowhere\.tar/],
  ] as const) {
    const dest = join(slipway.dir, 'never.tar');
    const ended = await slipway.run([
      'build',
      '-o',
      `type=oci,dest=${dest}`,
      context(slipway, `FROM ${from}\n`),
    ]);
    assert.equal(ended.status, 1, from);
    assert.match(ended.stderr, pattern);
    assert.doesNotMatch(ended.stderr, / {4}at /);
    assert.equal(existsSync(dest), false);
  }
  await slipway.must(['build', '-t', 'fine', context(slipway, 'FROM busybox\n')]);
});

test('a blob that a registry serves damaged is refused by its digest', async () => {
  using slipway = registry.slipway();
  const storage = join(slipway.dir, 'registry');
  await must(['cp', '-a', registryStorage(), storage]);
  const blobs = join(storage, 'docker/registry/v2/blobs/sha256');
  for (const two of readdirSync(blobs)) {
    for (const hex of readdirSync(join(blobs, two))) {
      const data = join(blobs, two, hex, 'data');
      const bytes = readFileSync(data);
      // Layers are gzip; documents stay as they are. The length stays, so only the digest can tell.
      if (bytes[0] === 0x1f && bytes.length < 3_000_000)
        writeFileSync(data, Buffer.concat([bytes.subarray(0, -20), Buffer.alloc(20)]));
    }
  }
  const target = await startRegistry(storage);
  try {
    const ended = await slipway.run([
      'build',
      '-t',
      'x',
      context(slipway, `FROM ${target.address}/library/busybox\nRUN true\n`),
    ]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /digest|does not match/);
    assert.deepEqual(readdirSync(join(slipway.store, 'trees')), []);
  } finally {
    await target.stop();
  }
});

function registryStorage(): string {
  return join(process.cwd(), 'dist/fixtures/registry');
}
