// The rules about registries of the security catalogue (RG-*) that are seen best from outside. The others are where
// their parts are tested: grep -r RG- test.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { startRegistry } from '../support/fixtures.ts';
import { tarBytes } from '../support/layer-tar.ts';
import { addImage, MemoryRegistry, ociManifest, sha256 } from '../support/memory-registry.ts';
import { type Ended, type Program, program } from '../support/program.ts';

const tar = tarBytes({ path: 'file', text: 'content' });
const configType = 'application/vnd.oci.image.config.v1+json';
const gzipLayer = 'application/vnd.oci.image.layer.v1.tar+gzip';

interface Lies {
  /** What the config says about the layer. */
  readonly diffId?: string;
  /** What the manifest says about it. */
  readonly layer?: Record<string, unknown>;
}

/** An image of one layer, honest but for `lies`. */
function offer(
  registry: MemoryRegistry,
  packed: Buffer,
  { diffId = sha256(tar), layer = {} }: Lies = {},
): string {
  const config = registry.addBlob(
    'app',
    JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { type: 'layers', diff_ids: [diffId] } }),
  );
  registry.addManifest('app', '1', ociManifest, {
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: configType, ...config },
    layers: [{ mediaType: gzipLayer, ...registry.addBlob('app', packed), ...layer }],
  });
  return `${registry.host}/app:1`;
}

/** The image unpacked into a directory, which stays empty when it is refused. */
function unpack(slipway: Program, image: string): { ended: Promise<Ended>; out: string } {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  writeFileSync(join(dir, 'Dockerfile'), `FROM ${image}\n`);
  const out = mkdtempSync(join(slipway.dir, 'out-'));
  return { ended: slipway.run(['build', '-q', '--retry=0', '-o', `type=local,dest=${out}`, dir]), out };
}

async function assertRefused(slipway: Program, image: string, message: RegExp): Promise<void> {
  const { ended, out } = unpack(slipway, image);
  const { status, stderr } = await ended;
  assert.equal(status, 1, stderr);
  assert.match(stderr, message);
  assert.doesNotMatch(stderr, /^ {4}at /m, 'no stack');
  assert.deepEqual(readdirSync(out), [], 'nothing was delivered');
}

describe('RG-01: places for a layer that its manifest names', () => {
  for (const mediaType of [
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  ]) {
    it(`are not asked, with or without credentials (${mediaType})`, async () => {
      await using registry = await new MemoryRegistry().start();
      await using elsewhere = await new MemoryRegistry().start();
      using slipway = program({ DOCKER_AUTH_CONFIG: JSON.stringify({ auths: { [registry.host]: login } }) });
      elsewhere.script({}, x =>
        x.answer(401, { 'www-authenticate': `Bearer realm="http://${elsewhere.host}/token"` }),
      );
      const urls = [`http://${elsewhere.host}/layer`];
      const image = offer(registry, gzipSync(tar), { layer: { mediaType, urls } });
      registry.links.delete(`app@${sha256(gzipSync(tar))}`);
      await assertRefused(slipway, image, /has no blob sha256:/);
      assert.deepEqual(elsewhere.log, []);
    });
  }
});

const login = { auth: Buffer.from('ada:secret').toString('base64') };

describe('RG-09: a layer whose digests do not fit', () => {
  const packed = gzipSync(tar);
  const touched = Buffer.from(packed);
  touched.writeUInt32LE(1, 4);
  const longer = Buffer.concat([tar, Buffer.alloc(512), Buffer.alloc(512, 1)]);
  const swapped = (bytes: Buffer): Lies => ({ layer: { digest: sha256(packed), size: bytes.length } });
  const cases: readonly (readonly [string, Buffer, Lies, RegExp])[] = [
    ['with other bytes after the end of its archive', gzipSync(longer), {}, /sha256:/],
    [
      'with another time in the header of gzip',
      touched,
      swapped(touched),
      /other bytes than its digest says/,
    ],
    ['with the right digest and another diffId', packed, { diffId: sha256('other') }, /sha256:/],
    [
      'with the right diffId and another digest',
      gzipSync(tar, { level: 1 }),
      swapped(gzipSync(tar, { level: 1 })),
      /other bytes|has no blob|bytes/,
    ],
    [
      'with another size, too large',
      packed,
      { layer: { size: packed.length + 1 } },
      /broke off after|should have/,
    ],
    [
      'with another size, too small',
      packed,
      { layer: { size: packed.length - 1 } },
      /goes on after|should have/,
    ],
  ];
  for (const [what, bytes, lies, message] of cases) {
    it(`${what} is refused, and nothing is made of it`, async () => {
      await using registry = await new MemoryRegistry().start();
      using slipway = program();
      const image = offer(registry, bytes, lies);
      // A registry that delivers these bytes whatever it is asked for.
      registry.script({ path: new RegExp(`/blobs/${sha256(packed)}$`) }, x => x.answer(200, {}, bytes));
      await assertRefused(slipway, image, message);
    });
  }

  it('but are as they should be is used', async () => {
    await using registry = await new MemoryRegistry().start();
    using slipway = program();
    const { ended, out } = unpack(slipway, offer(registry, packed));
    assert.equal((await ended).status, 0);
    assert.deepEqual(readdirSync(out), ['file']);
  });
});

describe('RG-11: line breaks and other characters that would mean something in a request', () => {
  for (const bad of ['\r\n', '\n', '\u010d\u010a', '%0d%0a', ' ', '\t', '?', '#']) {
    it(`in a name, tag or digest are refused before anybody is asked: ${JSON.stringify(bad)}`, async () => {
      await using registry = await new MemoryRegistry().start();
      using slipway = program();
      for (const rest of [
        `/a${bad}b:1`,
        `/app:1${bad}x-evil: 1`,
        `/app@${sha256('x')}${bad}`,
        `${bad}x/app`,
      ]) {
        const { status, stderr } = await slipway.run(['pull', registry.host + rest]);
        assert.equal(status, 2, stderr);
        assert.match(stderr, /is not an image reference/);
      }
      assert.deepEqual(registry.log, []);
    });
  }

  it('in a Dockerfile’s FROM are refused, too', async () => {
    await using registry = await new MemoryRegistry().start();
    using slipway = program();
    for (const bad of ['\u0000', '\u010d', '%0d%0a', '\r', '?']) {
      const dir = mkdtempSync(join(slipway.dir, 'context-'));
      writeFileSync(join(dir, 'Dockerfile'), `FROM ${registry.host}/a${bad}b:1\n`);
      assert.equal((await slipway.run(['build', dir])).status, 1, JSON.stringify(bad));
    }
    assert.deepEqual(registry.log, []);
  });

  it('in a user name or password are refused, or sent as base64 alone', async () => {
    await using registry = await new MemoryRegistry().start();
    registry.script({}, x => x.answer(401, { 'www-authenticate': 'Basic realm="x"' }));
    using slipway = program();
    for (const [name, password] of [
      ['a\r\nx: 1', 'b'],
      ['a', 'b\r\nx: 1'],
    ] as const) {
      const { status } = await slipway.run(['login', '-u', name, '--password-stdin', registry.host], {
        input: password,
      });
      assert.equal(status, 1);
    }
    assert.ok(registry.seen.every(seen => seen.headers.x === undefined));
  });

  it('in the tags that a registry lists are not taken for tags', async () => {
    await using registry = await new MemoryRegistry().start();
    addImage(registry, 'app', '1');
    registry.script({ path: /tags/ }, x =>
      x.answer(200, {}, JSON.stringify({ tags: ['1', '2\r\nx: 1', '../../v2/other/manifests/1'] })),
    );
    using slipway = program();
    await slipway.run(['pull', '-a', `${registry.host}/app`]);
    assert.ok(
      registry.log.every(line => /^\S+ \/v2\/(app\/(tags|manifests|blobs)\/|$)/.test(line)),
      registry.log.join(),
    );
    assert.ok(registry.log.every(line => !line.includes('other')));
  });
});

it('RG-13: the names in an archive do not decide what FROM means', async () => {
  const registry = await startRegistry();
  using slipway = program({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });
  try {
    const dir = mkdtempSync(join(slipway.dir, 'context-'));
    writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /trap\n');
    const archive = join(dir, 'trap.tar');
    await slipway.must([
      'build',
      '-q',
      '-o',
      `type=docker,dest=${archive},name=docker.io/library/busybox:latest`,
      dir,
    ]);
    assert.match((await slipway.must(['load', '-i', archive])).stdout, /Loaded image: busybox:latest/);
    const out = join(slipway.dir, 'out');
    writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\n');
    await slipway.must(['build', '-q', '-o', `type=local,dest=${out}`, dir]);
    assert.ok(readdirSync(out).includes('bin'));
    assert.ok(!readdirSync(out).includes('trap'));
  } finally {
    await registry.stop();
  }
});
