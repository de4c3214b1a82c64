// Cache mounts that travel (docs/cache-mounts.md): from one store to another, through a registry and a directory.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { startCountingProxy } from '../support/counting-proxy.ts';
import { startDockerRegistry } from '../support/docker-registry.ts';
import { type BaseRegistry, freePort, startRegistry } from '../support/fixtures.ts';
import { writeContext } from '../support/images.ts';
import { makeTar, type TarMember } from '../support/make-tar.ts';
import { type Program, program } from '../support/program.ts';
import { startS3Server } from '../support/s3-server.ts';

let bases: BaseRegistry;
const machines: Program[] = [];

before(async () => {
  bases = await startRegistry();
});

afterEach(() => {
  for (const machine of machines.splice(0)) machine[Symbol.dispose]();
});

after(() => bases?.stop());

/** A machine with an empty store. */
function machine(env: Readonly<Record<string, string>> = {}): Program {
  const slipway = program({ ...env, CONTAINERS_REGISTRIES_CONF: bases.registriesConf });
  machines.push(slipway);
  return slipway;
}

/** Builds a Dockerfile of RUN instructions. @returns what the commands printed, and everything */
async function build(slipway: Program, run: string, ...args: string[]) {
  const dir = writeContext(slipway, { Dockerfile: `FROM busybox\n${run}\n` });
  const { stderr } = await slipway.must(['build', '--progress=plain', '--no-cache', ...args, dir]);
  return { printed: [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1]), stderr };
}

const fill = `RUN --mount=type=cache,id=npm,target=/c mkdir /c/deep && echo kept > /c/deep/file && chown 5:6 /c/deep/file && \\
  chmod 640 /c/deep/file && touch -d @1600000000 /c/deep/file && ln /c/deep/file /c/hard && ln -s deep/file /c/soft && \\
  echo odd > /c/.wh.odd && chown 7:8 /c && chmod 1770 /c && mkfifo /c/pipe`;
const show = `RUN --mount=type=cache,id=npm,target=/c cat /c/deep/file /c/soft /c/.wh.odd; stat -c '%n %a %u:%g' /c; \\
  stat -c '%a %u:%g %Y %h' /c/deep/file; [ /c/hard -ef /c/deep/file ] && echo linked; ls -A /c | wc -l`;
const shown = ['kept', 'kept', 'odd', '/c 1770 7:8', '640 5:6 1600000000 2', 'linked', '5'];
const count = (id: string) => `RUN --mount=type=cache,id=${id},target=/c echo ${id} >> /c/n; wc -l < /c/n`;

test('a registry carries a cache mount to an empty machine, with owners, modes, links and times', async () => {
  await using registry = await startDockerRegistry();
  await using watched = await startCountingProxy(registry.host);
  const place = `type=registry,ref=${watched.host}/team/caches:npm`;
  const first = machine();
  await build(first, fill, '--cache-mount-to', `id=npm,${place}`);
  assert.ok(watched.asked.some(line => line.startsWith('PUT ') && line.includes('/blobs/uploads/')));

  watched.take();
  const { stderr } = await build(first, 'RUN true', '--cache-mount-to', `id=npm,${place}`);
  assert.match(stderr, /^#\d+ npm: unchanged$/m);
  assert.deepEqual(watched.asked, ['GET /v2/team/caches/manifests/npm'], 'nothing is sent again');

  const second = machine();
  const both = ['--cache-mount-from', place, '--cache-mount-to', place];
  const { printed, stderr: said } = await build(second, show, ...both);
  assert.deepEqual(printed, shown);
  assert.match(said, /importing cache mount npm from 127\.0\.0\.1:\d+\/team\/caches:npm$/m);
  assert.match(said, /^#\d+ npm: unchanged$/m, 'the archive of what was unpacked is the same archive');
});

for (const compression of ['gzip', 'zstd', 'uncompressed']) {
  test(`a directory carries several cache mounts, ${compression}, and old content leaves it`, async () => {
    const first = machine();
    const dir = join(first.dir, 'kept');
    const to = ['--cache-mount-to', `type=local,dest=${dir},compression=${compression}`];
    await build(first, `${count('a')}\n${count('b')}`, ...to);
    const blobs = () => readdirSync(join(dir, 'blobs/sha256')).length;
    assert.equal(blobs(), 4, 'two mounts, a manifest, an empty config');
    await build(first, count('a'), ...to);
    assert.equal(blobs(), 4);

    const second = machine();
    const from = ['--cache-mount-from', `type=local,src=${dir}`];
    assert.deepEqual((await build(second, `${count('a')}\n${count('b')}`, ...from)).printed, ['3', '2']);
    assert.deepEqual((await build(second, count('a'), ...from)).printed, ['4'], 'what is here is kept');
    const again = [...from.slice(0, 1), `${from[1]},id=a,overwrite=true`];
    assert.deepEqual((await build(second, `${count('a')}\n${count('b')}`, ...again)).printed, ['3', '3']);
  });
}

test('the first source that has a mount is taken; what cannot be reached or is not there yet stops nothing', async () => {
  const first = machine();
  const dir = join(first.dir, 'kept');
  await build(first, count('a'), '--cache-mount-to', `type=local,dest=${dir}`);
  const gone = `127.0.0.1:${await freePort()}`;
  const { printed, stderr } = await build(
    machine(),
    count('a'),
    '--retry=0',
    ...['--cache-mount-from', `type=registry,ref=${gone}/caches`],
    ...['--cache-mount-from', `type=local,src=${join(first.dir, 'nothing')}`],
    ...['--cache-mount-from', `type=local,src=${dir},id=other`],
    ...['--cache-mount-from', `type=local,src=${dir}`],
    ...['--cache-mount-to', `type=registry,ref=${gone}/caches,ignore-error=true`],
  );
  assert.deepEqual(printed, ['2']);
  assert.match(stderr, new RegExp(`warning: no cache mounts from ${gone}/caches:latest: `));
  assert.match(stderr, new RegExp(`warning: no cache mounts went to ${gone}/caches:latest: `));

  const slipway = machine();
  const context = writeContext(slipway, { Dockerfile: `FROM busybox\n${count('a')}\n` });
  const to = `type=registry,ref=${gone}/caches`;
  const failed = await slipway.run(['build', '--retry=0', '--cache-mount-to', to, context]);
  assert.equal(failed.status, 1, failed.stderr);
});

test('a bucket carries cache mounts, and unchanged ones are not sent again', async () => {
  await using server = await startS3Server();
  await server.makeBucket('caches');
  const place = `type=s3,bucket=caches,endpoint_url=${server.endpoint},use_path_style=true,prefix=mounts/`;
  const first = machine(server.env);
  await build(first, fill, '--cache-mount-to', place);
  const keys = await server.keys('caches');
  assert.ok(keys.includes('mounts/manifests/cache-mounts'), keys.join());
  assert.match(
    (await build(first, 'RUN true', '--cache-mount-to', `id=npm,${place}`)).stderr,
    /npm: unchanged/,
  );
  assert.deepEqual(await server.keys('caches'), keys);
  const { printed } = await build(machine(server.env), show, '--cache-mount-from', place);
  assert.deepEqual(printed, shown);
});

test('several machines that write different mounts under one tag at once lose none of them', async () => {
  await using registry = await startDockerRegistry();
  const place = `type=registry,ref=${registry.host}/team/caches:all`;
  const ids = ['a', 'b', 'c', 'd'];
  const writers = ids.map(id => ({ id, slipway: machine() }));
  await Promise.all(writers.map(({ id, slipway }) => build(slipway, count(id), '--cache-mount-to', place)));
  const { printed } = await build(machine(), ids.map(count).join('\n'), '--cache-mount-from', place);
  assert.deepEqual(printed, ['2', '2', '2', '2']);
});

test('of several machines that write one mount at once each comes to an end, and one mount is there', async () => {
  await using registry = await startDockerRegistry();
  const place = `type=registry,ref=${registry.host}/team/caches:one`;
  const writers = ['x', 'y', 'z'].map(text => ({ text, slipway: machine() }));
  const write = (text: string) => `RUN --mount=type=cache,id=a,target=/c echo ${text} > /c/n`;
  await Promise.all(
    writers.map(({ text, slipway }) => build(slipway, write(text), '--cache-mount-to', place)),
  );
  const read = 'RUN --mount=type=cache,id=a,target=/c cat /c/n';
  const { printed } = await build(machine(), read, '--cache-mount-from', place);
  assert.match(printed.join(), /^[xyz]$/);
});

test('a failed build leaves its cache mounts behind too', async () => {
  const first = machine();
  const dir = join(first.dir, 'kept');
  const context = writeContext(first, { Dockerfile: `FROM busybox\n${count('a')}\nRUN exit 3\n` });
  const failed = await first.run(['build', '--cache-mount-to', `type=local,dest=${dir}`, context]);
  assert.equal(failed.status, 1);
  const from = ['--cache-mount-from', `type=local,src=${dir}`];
  assert.deepEqual((await build(machine(), count('a'), ...from)).printed, ['2']);
});

/** A layout whose cache mount `a` is this archive. */
function layoutOf(dir: string, members: readonly TarMember[], diffId?: string): void {
  const digests: string[] = [];
  mkdirSync(join(dir, 'blobs/sha256'), { recursive: true });
  const put = (bytes: Buffer | string) => {
    const digest = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(dir, 'blobs/sha256', digest), bytes);
    digests.push(digest);
    return { digest: `sha256:${digest}`, size: Buffer.byteLength(bytes) };
  };
  const tar = put(makeTar(members));
  const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociManifest,
      artifactType: 'application/vnd.slipway.cache-mounts.v1',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', ...put('{}') },
      layers: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          ...tar,
          annotations: {
            'org.slipway.cache-mount.id': 'a',
            'org.slipway.cache-mount.diff-id': diffId ?? tar.digest,
          },
        },
      ],
    }),
  );
  const annotations = { 'org.opencontainers.image.ref.name': 'cache-mounts' };
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(
    join(dir, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: ociManifest, ...manifest, annotations }] }),
  );
}

const hostile: Record<string, { members: readonly TarMember[]; diffId?: string; says: RegExp }> = {
  'a name that leads out': { members: [{ name: '../../out', text: 'x' }], says: /out/ },
  'a device': { members: [{ name: 'null', type: 'char' }], says: /a device where none may be/ },
  'a hard link to a file outside': {
    members: [{ name: 'h', type: 'hardlink', target: '../../../../../../etc/passwd' }],
    says: /hard link|etc\/passwd/,
  },
  'other bytes than it says': {
    members: [{ name: 'f', text: 'x' }],
    diffId: `sha256:${'0'.repeat(64)}`,
    says: /does not hold the bytes/,
  },
};

for (const [name, { members, diffId, says }] of Object.entries(hostile)) {
  test(`an archive with ${name} is refused with a warning, and the mount starts empty`, async () => {
    const slipway = machine();
    const dir = join(slipway.dir, 'hostile');
    layoutOf(dir, [{ name: 'n', text: 'x\nx\n' }, ...members], diffId);
    const from = ['--cache-mount-from', `type=local,src=${dir}`];
    const { printed, stderr } = await build(slipway, count('a'), ...from);
    assert.deepEqual(printed, ['1']);
    assert.match(stderr, /warning: cache mount a was not imported/);
    assert.match(stderr, says);
    assert.equal(
      existsSync(join(slipway.store, 'out')) || existsSync(join(slipway.store, 'mounts/out')),
      false,
    );
    const [home = ''] = readdirSync(join(slipway.store, 'mounts'));
    const left = readdirSync(join(slipway.store, 'mounts', home, '0'));
    assert.deepEqual(
      left.filter(file => file.startsWith('fresh-')),
      [],
    );
  });
}

test('an archive that is damaged in its directory is refused with a warning', async () => {
  const first = machine();
  const dir = join(first.dir, 'kept');
  await build(first, count('a'), '--cache-mount-to', `type=local,dest=${dir}`);
  const { manifests } = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8'));
  const blob = (digest: string) => join(dir, 'blobs', digest.replace(':', '/'));
  const { layers } = JSON.parse(readFileSync(blob(manifests[0].digest), 'utf8'));
  writeFileSync(blob(layers[0].digest), Buffer.alloc(layers[0].size));
  const { printed, stderr } = await build(
    machine(),
    count('a'),
    '--cache-mount-from',
    `type=local,src=${dir}`,
  );
  assert.deepEqual(printed, ['1']);
  assert.match(
    stderr,
    /warning: cache mount a was not imported from .*: its blob sha256:.* is not there, or damaged/,
  );
});

test('a link in an archive that leads out is not followed', async () => {
  const slipway = machine();
  const dir = join(slipway.dir, 'hostile');
  const outside = join(slipway.dir, 'outside');
  mkdirSync(outside);
  layoutOf(dir, [
    { name: 'link', type: 'symlink', target: outside },
    { name: 'link/f', text: 'x' },
  ]);
  await build(slipway, count('a'), '--cache-mount-from', `type=local,src=${dir}`);
  assert.deepEqual(readdirSync(outside), []);
});

test('what is no set of cache mounts is neither read nor overwritten', async () => {
  const slipway = machine();
  const dir = join(slipway.dir, 'image');
  await build(slipway, 'RUN true', '-t', 'x:mine', '-o', `type=oci,tar=false,dest=${dir}`);
  const index = readFileSync(join(dir, 'index.json'), 'utf8');
  const context = writeContext(slipway, { Dockerfile: `FROM busybox\n${count('a')}\n` });
  const to = ['--cache-mount-to', `type=local,dest=${dir},tag=mine`];
  const { status, stderr } = await slipway.run(['build', ...to, context]);
  assert.equal(status, 2, stderr);
  assert.match(stderr, /no set of cache mounts\n {2}try: give cache mounts a tag of their own/);
  assert.equal(readFileSync(join(dir, 'index.json'), 'utf8'), index);
  await slipway.must(['build', '--cache-mount-to', `type=local,dest=${dir}`, context]);
  const tags = JSON.parse(readFileSync(join(dir, 'index.json'), 'utf8')).manifests.length;
  assert.equal(tags, 2, 'beside an image they are fine');
});

const wrong: Record<string, RegExp> = {
  'id=a': /it has no type\n {2}try: the types are registry, local, s3/,
  'type=redis,id=a': /there is no type "redis"\n {2}try: the types are registry, local, s3/,
  'type=s3,id=a': /type=s3 needs bucket\n {2}try: add bucket=NAME/,
  'type=registry': /type=registry needs ref\n/,
  [`type=registry,ref=r.example.com/x@sha256:${'a'.repeat(64)}`]: /a digest stands for cannot be changed/,
  'type=local,dest=d,compresion=gzip': /has no key "compresion"\n {2}try: did you mean compression\?/,
  'type=local,src=d': /has no key "src"/,
  'type=local,dest=d,compression=rar': /there is no compression "rar"/,
  'type=local,dest=d,compression-level=10': /is not a number from 0 to 9/,
  'type=local,dest=d,ignore-error=maybe': /neither true nor false/,
  'type=local,dest=d,dest=e': /dest is given twice/,
  'type=local,dest=d,id=': /id has no usable value/,
  nonsense: /"nonsense" is not key=value/,
};

test('--cache-mount-to: what cannot be understood is refused before anything is built', async () => {
  const slipway = machine();
  for (const [spec, says] of Object.entries(wrong)) {
    const { status, stderr } = await slipway.run(['build', '--cache-mount-to', spec, slipway.dir]);
    assert.equal(status, 2, `${spec}: ${stderr}`);
    assert.match(stderr, says);
  }
  const place = 'type=registry,ref=registry.example.com/x';
  const { status, stderr } = await slipway.run([
    'build',
    '--offline',
    '--cache-mount-from',
    place,
    slipway.dir,
  ]);
  assert.equal(status, 2);
  assert.match(stderr, /--offline does not go with cache mounts in a registry/);
});
