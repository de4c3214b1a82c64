// The smallest real image, without registry and without privileges.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { must, program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const hello = join(repoRoot, 'examples/hello');

test('the two programs of examples/hello are what make-hello.js makes', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-hello-'));
  await must([process.execPath, join(hello, 'make-hello.js'), dir]);
  for (const name of ['hello-amd64', 'hello-arm64']) {
    assert.deepEqual(readFileSync(join(dir, name)), readFileSync(join(hello, name)));
  }
  rmSync(dir, { recursive: true });
});

test('examples/hello becomes a docker archive with manifest.json and a whole OCI layout', async () => {
  using slipway = program();
  const dest = join(slipway.dir, 'hello.tar');
  const built = await slipway.must(['build', '-t', 'hello', '-o', `type=docker,dest=${dest}`, hello]);
  assert.equal(built.stdout, '', 'results only on stdout');
  const names = (await must(['tar', '-tf', dest])).trim().split('\n');
  for (const name of ['manifest.json', 'index.json', 'oci-layout'])
    assert.ok(names.includes(name), `${name} in ${names}`);
  const manifest = JSON.parse(await must(['tar', '-xOf', dest, 'manifest.json']));
  assert.deepEqual(manifest[0].RepoTags, ['hello:latest']);
  const config = JSON.parse(await must(['tar', '-xOf', dest, manifest[0].Config]));
  assert.deepEqual(config.config.Entrypoint, ['/hello']);
  assert.equal(config.rootfs.diff_ids.length, 1);
  assert.equal(config.os, 'linux');
});

test('skopeo reads the archives, and one copied to the other form keeps the image id', async () => {
  using slipway = program();
  const docker = join(slipway.dir, 'd.tar');
  const oci = join(slipway.dir, 'o.tar');
  const layout = join(slipway.dir, 'layout');
  const iid = join(slipway.dir, 'iid');
  const outputs = [
    '-o',
    `type=docker,dest=${docker}`,
    '-o',
    `type=oci,dest=${oci}`,
    '-o',
    `type=oci,tar=false,dest=${layout}`,
  ];
  await slipway.must(['build', '-t', 'hello', '--iidfile', iid, ...outputs, hello]);
  const id = readFileSync(iid, 'utf8');
  for (const source of [`docker-archive:${docker}`, `oci-archive:${oci}`, `oci:${layout}`]) {
    const raw = await must(['skopeo', 'inspect', '--config', '--raw', source]);
    const { createHash } = await import('node:crypto');
    assert.equal(`sha256:${createHash('sha256').update(raw).digest('hex')}`, id, source);
  }
  const round = join(slipway.dir, 'round.tar');
  await must([
    'skopeo',
    'copy',
    '--quiet',
    '--insecure-policy',
    `oci-archive:${oci}`,
    `docker-archive:${round}:hello:again`,
  ]);
  const again = JSON.parse(await must(['skopeo', 'inspect', '--config', `docker-archive:${round}`]));
  assert.deepEqual(again.config.Entrypoint, ['/hello']);
  const unpacked = join(slipway.dir, 'unpacked');
  await must(['umoci', 'unpack', '--rootless', '--image', `${layout}:latest`, unpacked]);
  assert.deepEqual(readdirSync(join(unpacked, 'rootfs')), ['hello']);
});

test('a second build executes nothing and says CACHED; another store gives the same bytes', async () => {
  using first = program({ SOURCE_DATE_EPOCH: '1700000000' });
  using second = program({ SOURCE_DATE_EPOCH: '1700000000', LC_ALL: 'C', TZ: 'Asia/Kolkata' });
  const one = join(first.dir, 'one.tar');
  const two = join(second.dir, 'two.tar');
  const cold = await first.must([
    'build',
    '--progress=plain',
    '-t',
    'h',
    '-o',
    `type=oci,dest=${one}`,
    hello,
  ]);
  assert.match(cold.stderr, /\[2\/2\] COPY .*\n(?:.*\n)*?#\d+ DONE/);
  const warm = await first.must([
    'build',
    '--progress=plain',
    '-t',
    'h',
    '-o',
    `type=oci,dest=${one}`,
    hello,
  ]);
  assert.match(warm.stderr, /#\d+ \[2\/2\] COPY .*\n#\d+ CACHED/);
  await second.must(['build', '-t', 'h', '-o', `type=oci,dest=${two}`, hello]);
  assert.deepEqual(readFileSync(one), readFileSync(two));
});

test('-o with a directory and with - write the files of the image', async () => {
  using slipway = program();
  const out = join(slipway.dir, 'out');
  await slipway.must(['build', '-o', out, hello]);
  assert.deepEqual(readdirSync(out), ['hello']);
  assert.match(await must([join(out, 'hello')]), /^Hello from slipway/);
  const tar = await run(
    [
      'sh',
      '-c',
      `"$0" "$1" build -q -o - "$2" | tar -tf -`,
      process.execPath,
      join(repoRoot, 'bin/slipway.js'),
      hello,
    ],
    {
      env: { SLIPWAY_ROOT: slipway.store },
    },
  );
  assert.equal(tar.stdout, 'hello\n');
});

test('an image built here is a base for the next one, and is listed', async () => {
  using slipway = program();
  await slipway.must(['build', '-t', 'hello:v1', hello]);
  const dir = join(slipway.dir, 'child');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM hello:v1\nLABEL child=yes\nCMD ["x"]\n');
  await slipway.must(['build', '-t', 'child', dir]);
  const listed = await slipway.must(['images']);
  assert.match(listed.stdout, /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE\n/);
  assert.match(listed.stdout, /^child +latest +[0-9a-f]{12} /m);
  assert.match(listed.stdout, /^hello +v1 +[0-9a-f]{12} /m);
});

test('the Dockerfile may come from stdin, and so may the whole context', async () => {
  using slipway = program();
  const out = join(slipway.dir, 'out');
  await slipway.must(['build', '-f', '-', '-o', out, hello], {
    input: 'FROM scratch\nCOPY hello-arm64 /x/y\n',
  });
  assert.deepEqual(readdirSync(join(out, 'x')), ['y']);
  const tar = join(slipway.dir, 'context.tar.gz');
  await must(['tar', '-czf', tar, '-C', hello, 'Dockerfile', 'hello-amd64', 'hello-arm64']);
  await slipway.must(['build', '-o', join(slipway.dir, 'out2'), '-'], { input: readFileSync(tar) });
  assert.deepEqual(readdirSync(join(slipway.dir, 'out2')), ['hello']);
  await slipway.must(['build', '-t', 'text', '-'], { input: 'FROM scratch\nLABEL from=stdin\n' });
});

test('a failed build leaves no output file and an earlier one untouched', async () => {
  using slipway = program();
  const dest = join(slipway.dir, 'x.tar');
  const dir = join(slipway.dir, 'bad');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM scratch\nCOPY missing /\n');
  const failed = await slipway.run(['build', '-o', `type=oci,dest=${dest}`, dir]);
  assert.equal(failed.status, 1);
  assert.equal(existsSync(dest), false);
  writeFileSync(dest, 'earlier');
  await slipway.run(['build', '-o', `type=oci,dest=${dest}`, dir]);
  assert.equal(readFileSync(dest, 'utf8'), 'earlier');
  assert.deepEqual(readdirSync(slipway.dir).sort(), ['bad', 'store', 'x.tar']);
});

test('an ordinary user builds from scratch without any privilege', async () => {
  using slipway = program();
  const store = join(slipway.dir, 'user-store');
  mkdirSync(store, { mode: 0o700 });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) await must(['chown', '65534:65534', store]);
  chmodSync(slipway.dir, 0o777);
  const dest = join(slipway.dir, 'user.tar');
  const ended = await slipway.run(['build', '-t', 'h', '-o', `type=docker,dest=${dest}`, hello], {
    ...(isRoot ? { uid: 65534, gid: 65534 } : {}),
    env: { SLIPWAY_ROOT: store, HOME: slipway.dir },
  });
  assert.equal(ended.status, 0, ended.stderr);
  assert.ok(existsSync(dest));
});
