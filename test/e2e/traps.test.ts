// Bugs that other builders shipped and paid for, each as something that must not happen here.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openCredentials } from '../../src/registry/credentials.ts';
import { startRegistry } from '../support/fixtures.ts';
import { buildFiles, buildImage, writeContext } from '../support/images.ts';
import { must, program } from '../support/program.ts';
import { withBases } from '../support/with-bases.ts';

const { registry, slipway } = await withBases();

const context = (text: string, files: Record<string, string | Uint8Array> = {}) =>
  writeContext(slipway, { Dockerfile: text, ...files });

/** A tar with these arguments, run in a directory with `files`. */
async function packed(files: Record<string, string>, ...args: string[]): Promise<Buffer> {
  const dir = writeContext(slipway, files);
  await must(['tar', '-C', dir, '-cf', `${dir}.tar`, ...args]);
  return readFileSync(`${dir}.tar`);
}

test('a changed value of a variable in COPY or WORKDIR does not find the layer of the old one', async () => {
  const dir = context('FROM scratch\nARG WHERE\nWORKDIR /$WHERE\nCOPY $WHERE.txt /$WHERE/\n', {
    'one.txt': 'same',
    'two.txt': 'same',
  });
  const names = async (where: string) =>
    (await buildImage(slipway, ['--build-arg', `WHERE=${where}`, dir])).layers.flat();
  assert.deepEqual(await names('one'), ['one/', 'one/', 'one/one.txt']);
  assert.deepEqual(await names('two'), ['two/', 'two/', 'two/two.txt']);
});

test('directories whose listings read the same when they are joined are different to the cache', async () => {
  const one = context('FROM scratch\nCOPY d /d/\n', { 'd/a': 'b', 'd/c': '' });
  const two = context('FROM scratch\nCOPY d /d/\n', { 'd/ab': '', 'd/c': '' });
  const files = async (dir: string) => (await buildImage(slipway, [dir])).layers.flat();
  assert.deepEqual(await files(one), ['d/', 'd/a', 'd/c']);
  assert.deepEqual(await files(two), ['d/', 'd/ab', 'd/c']);
});

test('a file that is called like a removal is refused and does not remove anything', async () => {
  for (const name of ['.wh.passwd', '.wh..wh..opq']) {
    const ended = await slipway.run([
      'build',
      context('FROM busybox\nCOPY etc /etc/\n', { [`etc/${name}`]: '' }),
    ]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, new RegExp(name.replaceAll('.', '\\.')));
    assert.match(ended.stderr, /Dockerfile:2\n/);
  }
});

test('hard links stay hard links from RUN over COPY --from, with targets relative to the root', async () => {
  const dir = context(
    'FROM busybox AS one\nRUN mkdir /d && echo x > /d/a && ln /d/a /d/b\nFROM scratch\nCOPY --from=one /d /e/\n',
  );
  const files = await buildFiles(slipway, [dir]);
  assert.match(files.get('e/b') ?? '', /^h.* e\/a$/);
  const layer = await buildFiles(slipway, ['--target', 'one', dir]);
  assert.match(layer.get('d/b') ?? '', /^h.* d\/a$/);
});

test('an archive that is unpacked over / leaves the mode of / alone', async () => {
  const archive = await packed({ 'in/file': 'x' }, '--mode=0700', '--owner=5', '.');
  const dir = context('FROM busybox\nADD a.tar /\nUSER 7\nRUN ls -ld / && cat /etc/passwd\n', {
    'a.tar': archive,
  });
  const { stderr } = await slipway.must(['build', '--progress=plain', dir]);
  assert.match(stderr, /drwxr-xr-x .* \/\n/);
  assert.equal((await buildImage(slipway, [dir])).layers.at(-1)?.includes('./'), false);
});

test('COPY works as root under any USER, and the directories it makes have its owner and mode', async () => {
  const files = await buildFiles(slipway, [
    context('FROM busybox\nUSER 9\nCOPY --chown=3:4 --chmod=750 f /new/dir/\nCOPY f /root/plain/f\n', {
      f: '',
    }),
  ]);
  assert.equal(files.get('new/'), 'drwxr-x--- 3/4');
  assert.equal(files.get('new/dir/'), 'drwxr-x--- 3/4');
  assert.equal(files.get('root/plain/'), 'drwxr-xr-x 0/0');
});

test('the group of USER counts', async () => {
  const dir = context('FROM busybox\nUSER 7:8\nRUN touch /tmp/f\n');
  assert.match((await buildFiles(slipway, [dir])).get('tmp/f') ?? '', / 7\/8 /);
});

test('VOLUME makes no directory and no layer', async () => {
  const { layers, config } = await buildImage(slipway, [context('FROM scratch\nVOLUME /data/deep\n')]);
  assert.deepEqual(layers, []);
  assert.deepEqual(config.Volumes, { '/data/deep': {} });
});

test('annotations of a base do not become those of the image', async () => {
  const layout = join(slipway.dir, 'annotated');
  const base = context('FROM scratch\nCOPY Dockerfile /\n');
  await slipway.must([
    'build',
    '--annotation',
    'org.example.base=yes',
    '-o',
    `type=oci,tar=false,dest=${layout}`,
    base,
  ]);
  const { manifest } = await buildImage(slipway, [
    context(`FROM oci-layout://${layout}\nCOPY Dockerfile /x\n`),
  ]);
  assert.equal(manifest.annotations?.['org.example.base'], undefined);
});

test('SOURCE_DATE_EPOCH does not touch the layers of the base', async () => {
  const text = 'FROM busybox\nRUN echo x > /x\n';
  const plain = await buildImage(slipway, [context('FROM busybox\n')]);
  const dated = await buildImage(slipway, ['--build-arg', 'SOURCE_DATE_EPOCH=1', context(text)]);
  assert.equal(dated.manifest.layers.length, 2);
  assert.equal(dated.manifest.layers[0]?.digest, plain.manifest.layers[0]?.digest);
});

test('HEALTHCHECK, SHELL and ONBUILD are kept in OCI images', async () => {
  const { config } = await buildImage(slipway, [
    context('FROM scratch\nHEALTHCHECK CMD x\nSHELL ["/s"]\nONBUILD RUN y\n'),
  ]);
  assert.deepEqual(
    [config.Healthcheck?.Test, config.Shell, config.OnBuild],
    [['CMD-SHELL', 'x'], ['/s'], ['RUN y']],
  );
});

test('--squash keeps the layers of the base, and the cache', async () => {
  const dir = context('FROM busybox\nRUN echo 1 > /one\nRUN echo 2 > /two && rm /one\n');
  const plain = await buildImage(slipway, [dir]);
  const squashed = await buildImage(slipway, ['--squash', dir]);
  assert.deepEqual([plain.manifest.layers.length, squashed.manifest.layers.length], [3, 2]);
  assert.equal(squashed.manifest.layers[0]?.digest, plain.manifest.layers[0]?.digest);
  assert.deepEqual(squashed.layers[1], ['two']);
  assert.match(squashed.stderr, /2 of 2 steps cached/);
});

test('a large file goes through in little memory', async () => {
  const dir = context('FROM scratch\nCOPY large /\n');
  await must(['truncate', '-s', '600M', join(dir, 'large')]);
  const report = 'process.on("exit",()=>console.error("peak "+process.resourceUsage().maxRSS))';
  const { stderr } = await slipway.must(
    ['build', '-o', `type=docker,dest=${join(slipway.dir, 'large.tar')}`, dir],
    { env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(report)}` } },
  );
  const peaks = [...stderr.matchAll(/^peak (\d+)$/gm)].map(match => Number(match[1]));
  assert.ok(peaks.length > 0, stderr);
  assert.ok(Math.max(...peaks) < 400 * 1024, `${peaks} KiB`);
});

test('a base that links out of its root reaches nothing outside, by COPY, ADD or RUN', async () => {
  const outside = mkdtempSync(join(slipway.dir, 'outside-'));
  writeFileSync(join(outside, 'secret'), 'of the host');
  const dir = context(
    `FROM busybox AS base
RUN ln -s ${outside} /out && ln -s ../../../../../..${outside} /up && ln -s ${outside}/secret /file
FROM base
COPY f /out/copied
COPY f /up/copied2
COPY f /file
ADD a.tar /out/
RUN echo x > /up/run || mkdir -p ${outside} && echo x > /up/run
`,
    { f: 'f', 'a.tar': await packed({ 'added/x': '' }, 'added') },
  );
  const files = await buildFiles(slipway, [dir]);
  assert.deepEqual(readdirSync(outside), ['secret']);
  assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'of the host');
  assert.ok(files.has(`${outside.slice(1)}/copied`), 'it is inside the image');
  const leak = context(`FROM busybox AS base
RUN ln -s ${outside}/secret /file
FROM scratch
COPY --from=base /file /leak
`);
  const read = await slipway.run(['build', leak]);
  assert.equal(read.status, 1);
  assert.match(read.stderr, /which is not in stage/);
  assert.doesNotMatch(read.stderr, /of the host/);
});

test('a base that many stages use is looked up once', async () => {
  const stages = Array.from({ length: 6 }, (_, i) => `FROM busybox AS s${i}\nRUN echo ${i} > /f\n`);
  const copies = stages.map((_, i) => `COPY --from=s${i} /f /f${i}\n`);
  const dir = context(`${stages.join('')}FROM busybox\n${copies.join('')}`);
  const { stderr } = await slipway.must(['build', '--progress=plain', dir]);
  assert.equal(stderr.match(/load metadata for/g)?.length, 1);
});

test('CACHED is said of steps whose result was used, not of those that were left out', async () => {
  const dir = context('FROM busybox AS unused\nRUN echo unused\nFROM busybox\nRUN echo used > /f\n');
  await slipway.must(['build', dir]);
  const { stderr } = await slipway.must(['build', '--progress=plain', dir]);
  assert.doesNotMatch(stderr, /echo unused/);
  assert.match(stderr, /#\d+ \[.*\] RUN echo used > \/f\n#\d+ CACHED/);
  assert.match(stderr, /1 of 1 steps cached/);
});

test('keys of Docker Hub, identity tokens and logins for a path are understood side by side', async () => {
  const home = mkdtempSync(join(slipway.dir, 'home-'));
  mkdirSync(join(home, '.docker'));
  const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
  writeFileSync(
    join(home, '.docker/config.json'),
    JSON.stringify({
      auths: {
        'https://index.docker.io/v1/': auth('hub:1'),
        'r.example': { ...auth('00000000-0000-0000-0000-000000000000:'), identitytoken: 'token' },
        'r.example/team/app': auth('path:2'),
      },
    }),
  );
  const credentials = openCredentials({ env: { HOME: home }, home });
  const find = (host: string, repository: string) =>
    credentials.find(host, repository, new AbortController().signal);
  assert.deepEqual(await find('registry-1.docker.io', 'library/x'), {
    kind: 'password',
    username: 'hub',
    password: '1',
  });
  assert.deepEqual(await find('r.example', 'team/app'), {
    kind: 'password',
    username: 'path',
    password: '2',
  });
  const other = await find('r.example', 'team/application');
  assert.deepEqual([other?.kind, other?.kind !== 'password' && other?.token], ['identity', 'token']);
});

test('a failed build leaves no output of any kind, and an earlier one as it was', async () => {
  const dir = context('FROM busybox\nRUN exit 1\n');
  for (const [kind, name] of [
    ['docker', 'd.tar'],
    ['oci', 'o.tar'],
    ['tar', 't.tar'],
    ['local', 'out'],
  ]) {
    const dest = join(slipway.dir, `failed-${name}`);
    const output = ['-o', `type=${kind},dest=${dest}`];
    assert.equal((await slipway.run(['build', ...output, dir])).status, 1);
    assert.equal(existsSync(dest), false, kind);
    if (kind === 'local') continue;
    writeFileSync(dest, 'earlier');
    await slipway.run(['build', ...output, dir]);
    assert.equal(readFileSync(dest, 'utf8'), 'earlier', kind);
  }
});

test('--no-cache keeps what is in cache mounts', async () => {
  const dir = context(
    'FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/n && wc -l < /c/n > /count\n',
  );
  const count = async () => {
    const out = mkdtempSync(join(slipway.dir, 'count-'));
    await slipway.must(['build', '--no-cache', '-o', out, dir]);
    return readFileSync(join(out, 'count'), 'utf8').trim();
  };
  assert.deepEqual([await count(), await count()], ['1', '2']);
});

test('the output of a step is shown whole, however long', async () => {
  const line = 'x'.repeat(99);
  const dir = context(`FROM busybox\nRUN yes ${line} | head -n 40000 && echo the end\n`);
  const { stderr } = await slipway.must(['build', '--progress=plain', dir]);
  assert.equal(stderr.match(new RegExp(` ${line}$`, 'gm'))?.length, 40_000);
  assert.match(stderr, / the end$/m);
});

test('two builds at once share one store, whether it is new or not', async () => {
  using shared = program({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });
  const dir = writeContext(shared, {
    Dockerfile: 'FROM busybox\nRUN sleep 0.3; echo x > /x\nCOPY Dockerfile /\n',
  });
  for (const round of ['new', 'used']) {
    const images = await Promise.all([1, 2, 3].map(() => buildImage(shared, [dir])));
    assert.equal(new Set(images.map(image => JSON.stringify(image.layers))).size, 1, round);
  }
  await shared.must(['images']);
});

test('an image goes to a second repository of a registry though nothing can be mounted there', async () => {
  const storage = mkdtempSync(join(slipway.dir, 'registry-'));
  const target = await startRegistry(storage);
  try {
    const dir = context('FROM busybox\nRUN echo pushed > /p\n');
    for (const name of ['one/app', 'two/app']) {
      await slipway.must(['build', '-t', `${target.address}/${name}:1`, '--push', dir]);
      const copied = await must([
        'skopeo',
        'inspect',
        '--tls-verify=false',
        `docker://${target.address}/${name}:1`,
      ]);
      assert.equal(JSON.parse(copied).Layers.length, 2);
    }
  } finally {
    await target.stop();
  }
});
