// slipway system verify: says what in the store is not what it was, and with --repair makes room for it to be made again.
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { open } from 'lmdb';
import { baseImages } from '../support/base-registry.ts';
import { type Program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const epoch = { SOURCE_DATE_EPOCH: '1700000000' };

interface Built {
  readonly slipway: Program;
  readonly build: () => Promise<string>;
  readonly image: string;
  /** Hex of the largest blob and where it is. */
  readonly layer: string;
  readonly layerPath: string;
}

/** An image with a layer of files and one of RUN. */
async function built(slipway: Program): Promise<Built> {
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nCOPY file /\nRUN tr w W < /file > /copy\n');
  writeFileSync(join(dir, 'file'), 'wanted '.repeat(1_000_000));
  const build = async () =>
    (await slipway.must(['build', '-q', '-t', 'x', dir], { env: epoch })).stdout.trim();
  const image = await build();
  const blobs = join(slipway.store, 'blobs/sha256');
  const [layer = ''] = readdirSync(blobs).sort((a, b) => sizeOf(join(blobs, b)) - sizeOf(join(blobs, a)));
  return { slipway, build, image, layer, layerPath: join(blobs, layer) };
}

const sizeOf = (path: string) => lstatSync(path).size;

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4;
  writeFileSync(path, bytes);
}

/** Of the first unpacked layer with a file of that name. */
function treeWith(slipway: Program, name: string): string {
  const trees = join(slipway.store, 'trees');
  return readdirSync(trees).find(id => readdirSync(join(trees, id, 'fs')).includes(name)) ?? assert.fail();
}

async function setFact(slipway: Program, key: string, value: string): Promise<void> {
  const db = open({ path: join(slipway.store, 'meta'), encoding: 'string', cache: false });
  await db.put(key, value);
  await db.close();
}

const ways: readonly {
  readonly what: string;
  readonly damage: (built: Built) => void | Promise<void>;
  readonly says: (built: Built) => RegExp;
}[] = [
  {
    what: 'a bit of a blob that flipped',
    damage: ({ layerPath }) => flipBit(layerPath),
    says: ({ layer }) => new RegExp(`^blob sha256:${layer} holds sha256:`, 'm'),
  },
  {
    what: 'a blob that was cut off',
    damage: ({ layerPath }) => writeFileSync(layerPath, readFileSync(layerPath).subarray(0, 1000)),
    says: ({ layer }) => new RegExp(`^blob sha256:${layer} holds sha256:`, 'm'),
  },
  {
    what: 'a link in the place of a blob',
    damage: ({ layerPath }) => {
      rmSync(layerPath);
      symlinkSync('/etc/hostname', layerPath);
    },
    says: ({ layer }) => new RegExp(`^blob sha256:${layer} is no regular file`, 'm'),
  },
  {
    what: 'a file that is no blob',
    damage: ({ layerPath }) => writeFileSync(`${layerPath}.bak`, ''),
    says: ({ layer }) => new RegExp(`^blob sha256:${layer}.bak has a name that is no digest`, 'm'),
  },
  {
    what: 'a file in the place of an unpacked layer',
    damage: ({ slipway }) => writeFileSync(join(slipway.store, 'trees/file'), ''),
    says: () => /^tree file is no directory with an fs in it/m,
  },
  {
    what: 'a directory that is no unpacked layer',
    damage: ({ slipway }) => mkdirSync(join(slipway.store, 'trees/New Folder')),
    says: () => /^tree New Folder is no directory with an fs in it/m,
  },
  {
    what: 'a file of an unpacked layer that was edited',
    damage: ({ slipway }) =>
      flipBit(join(slipway.store, 'trees', treeWith(slipway, 'bin'), 'fs/bin/busybox')),
    says: ({ slipway }) =>
      new RegExp(`^tree ${treeWith(slipway, 'bin')} is not what it was when it was made`, 'm'),
  },
  {
    what: 'a fact that lost its checksum',
    damage: ({ slipway }) => setFact(slipway, 'records/sha256:1', 'deadbeef{}'),
    says: () => /^fact records\/sha256:1 does not have its checksum/m,
  },
];

describe('slipway system verify', () => {
  for (const { what, damage, says } of ways) {
    it(`finds ${what}, and --repair removes it`, async () => {
      using slipway = registry.slipway();
      const before = await built(slipway);
      const well = await slipway.must(['system', 'verify']);
      assert.match(
        well.stdout,
        /^\d+ blobs \([\d.]+MB\), \d unpacked layers?, 1 image: all as they should be$/m,
      );
      await damage(before);
      const expected = says(before);
      const found = await slipway.run(['system', 'verify']);
      assert.notEqual(found.status, 0);
      assert.match(found.stdout, expected);
      assert.equal(found.stdout.trim().split('\n').length, 1, found.stdout);
      assert.match(found.stderr, /1 part of the store is damaged\n.*slipway system verify --repair/s);
      const repaired = await slipway.run(['system', 'verify', '--repair']);
      assert.match(repaired.stdout, expected);
      assert.match(repaired.stdout, /: removed$/m);
      assert.equal(await before.build(), before.image);
      await slipway.must(['system', 'verify']);
    });
  }

  it('goes on after a blob that the disk does not give, and --repair removes it', async () => {
    using slipway = registry.slipway();
    const { layer, layerPath, build, image } = await built(slipway);
    const onBadDisk = (...words: string[]) => {
      const argv = [process.execPath, join(repoRoot, 'bin/slipway.js'), 'system', 'verify', ...words];
      const fault = ['-qq', '-o', '/dev/null', '-P', layerPath, '-e', 'inject=read,pread64:error=EIO'];
      return run(['strace', '-f', ...fault, ...argv], { env: { SLIPWAY_ROOT: slipway.store } });
    };
    const found = await onBadDisk();
    assert.equal(found.stdout, `blob sha256:${layer} cannot be read (EIO)\n`, found.stderr);
    assert.equal(found.status, 1);
    const repaired = await onBadDisk('--repair');
    assert.match(repaired.stdout, /cannot be read \(EIO\): removed$/m);
    assert.equal(await build(), image);
    await slipway.must(['system', 'verify']);
  });

  it('finds the name of an image again that lost its checksum', async () => {
    using slipway = registry.slipway();
    const { image } = await built(slipway);
    const names = async () =>
      (await slipway.must(['images', '--no-trunc', '--format', '{{.Tag}} {{.ID}}'])).stdout;
    const before = await names();
    assert.match(before, new RegExp(image));
    await setFact(slipway, 'names/docker.io/library/x:latest', 'deadbeef{}');
    await slipway.must(['tag', `${image}`, 'y']);
    await slipway.must(['rmi', 'y']);
    assert.equal(await names(), before);
    await slipway.must(['system', 'verify', '--repair']);
    await slipway.must(['prune', '-a', '-f']);
    assert.equal(await names(), before);
  });

  it('names the image that lacks something', async () => {
    using slipway = registry.slipway();
    const { layer, layerPath, build, image } = await built(slipway);
    rmSync(layerPath);
    const { status, stdout, stderr } = await slipway.run(['system', 'verify', '--repair']);
    assert.notEqual(status, 0);
    assert.equal(stdout, `image docker.io/library/x:latest lacks its layer sha256:${layer}\n`);
    assert.match(stderr, /pull or build these images again/);
    assert.equal(await build(), image);
    await slipway.must(['system', 'verify']);
  });
});
