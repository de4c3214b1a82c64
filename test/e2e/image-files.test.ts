// Archives, layouts, registries and engines: images go there and come back as what they were.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startDockerRegistry } from '../support/docker-registry.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { writeContext } from '../support/images.ts';
import { must, type Program, program } from '../support/program.ts';

let engine: Engine;
let slipway: Program;
let id: string;

before(async () => {
  engine = await startEngine();
  slipway = program();
  const dir = writeContext(slipway, {
    Dockerfile: 'FROM scratch\nCOPY a /a\nCOPY --chmod=4755 b /sub/b\nLABEL x=y\nCMD ["/a"]\n',
    a: 'first',
    b: 'second',
  });
  id = (await slipway.must(['build', '-q', '-t', 'app:1', dir])).stdout.trim();
  await slipway.must(['save', '-o', at('slipway.tar'), 'app:1']);
  await engine.docker(['load', '-q', '-i', at('slipway.tar')]);
});

after(async () => {
  slipway?.[Symbol.dispose]();
  await engine?.stop();
});

const at = (name: string) => join(slipway.dir, name);
const idOf = async (where: Program, text: string) =>
  (await where.must(['inspect', '-f', '{{.Id}}', text])).stdout.trim();

test('every shape of archive is loaded, packed or not, with the image that was saved', async () => {
  const copy = (to: string) =>
    must(['skopeo', 'copy', '-q', '--insecure-policy', `docker-archive:${at('slipway.tar')}`, to]);
  await engine.docker(['save', '-o', at('docker.tar'), 'app:1']);
  await copy(`docker-archive:${at('skopeo.tar')}:app:1`);
  await copy(`oci-archive:${at('oci.tar')}:app:1`);
  await copy(`oci:${at('layout')}:app:1`);
  for (const [packer, name] of [
    ['gzip -k', 'gz'],
    ['bzip2 -k', 'bz2'],
    ['xz -k -0', 'xz'],
    ['zstd -q -k', 'zst'],
  ])
    await must(['sh', '-c', `${packer} "$0"`, at('docker.tar')]).then(() =>
      assert.ok(existsSync(at(`docker.tar.${name}`))),
    );
  const raw = await must(['skopeo', 'inspect', '--raw', `oci:${at('layout')}:app:1`]);
  const ociId = JSON.parse(raw).config.digest;
  const files = ['slipway.tar', 'docker.tar', 'skopeo.tar', 'oci.tar', 'layout'];
  for (const name of [...files, 'docker.tar.gz', 'docker.tar.bz2', 'docker.tar.xz', 'docker.tar.zst']) {
    using other = program();
    assert.equal((await other.must(['load', '-i', at(name)])).stdout, 'Loaded image: app:1\n', name);
    // Skopeo writes the config anew for OCI, which makes it another image.
    const isOci = name === 'oci.tar' || name === 'layout';
    assert.equal(await idOf(other, 'app:1'), isOci ? ociId : id, name);
  }
  using other = program();
  const piped = await other.must(['load'], { input: readFileSync(at('docker.tar.gz')) });
  assert.equal(piped.stdout, 'Loaded image: app:1\n');
});

test('an archive as kaniko writes it is loaded: the config named by its digest, layers packed', async () => {
  const dir = at('kaniko');
  mkdirSync(dir);
  await must(['tar', '-C', dir, '-xf', at('docker.tar')]);
  const [{ Config, Layers }] = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8'));
  const config = readFileSync(join(dir, Config));
  const name = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  const out = at('kaniko-out');
  mkdirSync(out);
  writeFileSync(join(out, name), config);
  const layers = [];
  for (const [i, layer] of Layers.entries()) {
    await must(['sh', '-c', 'gzip < "$0" > "$1"', join(dir, layer), join(out, `${i}.tar.gz`)]);
    layers.push(`${i}.tar.gz`);
  }
  writeFileSync(
    join(out, 'manifest.json'),
    JSON.stringify([{ Config: name, RepoTags: ['reg.example/kaniko:1'], Layers: layers }]),
  );
  await must(['sh', '-c', 'cd "$0" && tar -cf "$1" *', out, at('kaniko.tar')]);
  using other = program();
  assert.equal(
    (await other.must(['load', '-i', at('kaniko.tar')])).stdout,
    'Loaded image: reg.example/kaniko:1\n',
  );
  assert.equal(await idOf(other, 'reg.example/kaniko:1'), id);
});

test('what is no image archive, or the half of one, is refused and nothing gets a name', async () => {
  using other = program();
  const whole = readFileSync(at('slipway.tar'));
  const damaged = Buffer.from(whole);
  damaged.write('X', whole.indexOf('second'));
  for (const [bytes, message] of [
    [whole.subarray(0, whole.length / 2), /archive|ends|truncated|end/],
    [Buffer.from('no archive'), /error: standard input is no image archive/],
    [damaged, /damaged/],
    [await bytesOf('files.tar'), /holds no image/],
  ] as const) {
    const ended = await other.run(['load'], { input: bytes });
    assert.equal(ended.status, 1, String(message));
    assert.match(ended.stderr, message);
    assert.doesNotMatch(ended.stderr, /internal error/);
    assert.equal((await other.must(['images', '-q'])).stdout, '');
  }
  assert.equal((await other.run(['load', '-i', at('nothing.tar')])).status, 1);
});

async function bytesOf(name: string): Promise<Buffer> {
  await slipway.must(['image', 'export', '-o', at(name), 'app:1']);
  return readFileSync(at(name));
}

test('a name that an archive gives to an image never decides what FROM means', async () => {
  await using registry = await startDockerRegistry();
  const name = `${registry.host}/base:1`;
  using other = program();
  const from = writeContext(other, { Dockerfile: `FROM ${name}\n` });
  await other.must(['load', '-i', at('slipway.tar')]);
  await other.must(['save', '-o', at('shadow.tar'), 'app:1']);
  await other.must(['image', 'copy', 'app:1', `docker-archive:${at('shadow.tar')}:${name}`]);
  await other.must(['load', '-i', at('shadow.tar')]);
  assert.equal(await idOf(other, name), id);
  const refused = await other.run(['build', from]);
  assert.equal(refused.status, 1); // the registry was asked, and has none
  const never = await other.run(['build', '--pull=never', from]);
  assert.match(never.stderr, /loaded from a file/);
  await other.must(['tag', name, name]);
  await other.must(['build', '--pull=never', from]);
});

test('several images go into one archive, and a repository without a tag is all of its tags', async () => {
  using own = program();
  await own.must(['load', '-i', at('slipway.tar')]);
  await own.must(['tag', 'app:1', 'app:2']);
  const dir = writeContext(own, { Dockerfile: 'FROM scratch\nCOPY Dockerfile /\n' });
  await own.must(['build', '-q', '-t', 'other', dir]);
  const archive = join(own.dir, 'several.tar');
  await own.must(['save', '-o', archive, 'app', 'other:latest']);
  assert.deepEqual((await engine.docker(['load', '-i', archive])).trim().split('\n').sort(), [
    'Loaded image: app:1',
    'Loaded image: app:2',
    'Loaded image: other:latest',
  ]);
  const byId = (await own.must(['save', id.slice(7, 19)])).stdout;
  assert.ok(byId.includes('"RepoTags":null'));
  const ended = await own.run(['save', '-o', join(own.dir, 'none.tar'), 'app', 'missing']);
  assert.equal(ended.status, 1);
  assert.equal(existsSync(join(own.dir, 'none.tar')), false);
});

test('a tar is imported with the config that docker gives it', async () => {
  const tar = at('import.tar');
  await slipway.must(['image', 'export', '-o', tar, 'app:1']);
  const changes = [
    'CMD ["/a", "b"]',
    'ENV A=1 B="two words"',
    'EXPOSE 80 53/udp',
    'LABEL x=y',
    'USER 7:8',
    'WORKDIR /sub',
    'VOLUME /data',
    'ENTRYPOINT ["/e"]',
    'ONBUILD RUN x',
    'HEALTHCHECK --interval=3s CMD x',
  ];
  const args = ['import', ...changes.flatMap(change => ['-c', change]), '-m', 'a message', tar, 'imported:1'];
  const [ours, theirs] = [await slipway.must(args), await engine.docker(args)];
  assert.match(ours.stdout, /^sha256:[0-9a-f]{64}\n$/);
  assert.match(theirs, /^sha256:[0-9a-f]{64}\n$/);
  const [mine] = JSON.parse((await slipway.must(['inspect', 'imported:1'])).stdout);
  const [docker] = JSON.parse(await engine.docker(['inspect', 'imported:1']));
  for (const key of ['Config', 'Comment', 'Architecture', 'Os', 'Size', 'RootFS', 'RepoTags']) {
    assert.deepEqual(mine[key], docker[key], key);
  }
  const history = ['history', '--format', '{{.CreatedBy}}|{{.Size}}|{{.Comment}}', 'imported:1'];
  assert.equal((await slipway.must(history)).stdout, await engine.docker(history));
  const bad = await slipway.run(['import', '-c', 'RUN x', tar]);
  assert.match(bad.stderr, /RUN is not a valid change/);
  assert.equal((await slipway.run(['import', '-'], { input: 'no tar' })).status, 1);
  const piped = await slipway.must(['import', '-'], { input: readFileSync(tar) });
  assert.equal((await slipway.must(['inspect', '-f', '{{.RepoTags}}', piped.stdout.trim()])).stdout, '[]\n');
  const url = await serve({ '/fs.tar': readFileSync(tar) });
  try {
    await slipway.must(['import', `${url.address}/fs.tar`, 'fetched']);
    assert.match((await slipway.must(['history', 'fetched'])).stdout, /Imported from http:/);
    assert.equal((await slipway.run(['import', `${url.address}/missing`])).status, 1);
  } finally {
    url.close();
  }
});

async function serve(files: Record<string, Buffer | string>): Promise<{ address: string; close(): void }> {
  const server: Server = createServer((request, response) => {
    const body = files[request.url?.split('?')[0] ?? ''];
    response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

test('export, tree and diff show what is in an image', async () => {
  const listing = await must(['sh', '-c', 'tar -tf "$0"', at('files.tar')]);
  assert.deepEqual(listing.trim().split('\n'), ['a', 'sub/', 'sub/b']);
  const tree = (await slipway.must(['image', 'tree', 'app:1'])).stdout;
  assert.match(
    tree,
    /^Image ID: [0-9a-f]{12}\nTags: {5}\[app:1\]\nSize: {5}11B\nImage Layers\n├── ID: [0-9a-f]{12} Size: 5B\n└── ID: [0-9a-f]{12} Size: 6B Top Layer of: \[app:1\]\n$/,
  );
  const dir = writeContext(slipway, {
    Dockerfile: 'FROM app:1\nCOPY a /a\nCOPY a /new/file\nCOPY --chmod=0600 b /sub/b\n',
    a: 'firsT',
    b: 'second',
  });
  await slipway.must(['build', '-q', '-t', 'app:next', dir]);
  assert.equal(
    (await slipway.must(['image', 'diff', 'app:1', 'app:next'])).stdout,
    'C /a\nA /new\nA /new/file\nC /sub/b\n',
  );
  assert.equal(
    (await slipway.must(['image', 'diff', 'app:next', `docker-archive:${at('slipway.tar')}`])).stdout,
    'C /a\nD /new\nD /new/file\nC /sub/b\n',
  );
  assert.equal((await slipway.must(['image', 'diff', 'app:1', 'app:1'])).stdout, '');
});

test('copy goes from everywhere to everywhere and changes no image id', async () => {
  await using registry = await startDockerRegistry();
  const remote = `docker://${registry.host}/team/app:1`;
  const hops = [
    'app:1',
    `docker-archive:${at('hop.tar')}:app:1`,
    `oci-archive:${at('hop-oci.tar')}:app:1`,
    `oci:${at('hop-layout')}:v1`,
    remote,
    'back:1',
  ];
  using own = program();
  await own.must(['load', '-i', at('slipway.tar')]);
  for (const [i, to] of hops.entries()) {
    if (i > 0) assert.match((await own.must(['image', 'copy', hops[i - 1] ?? '', to])).stdout, /^sha256:/);
    assert.equal(await idOf(own, to), id, to);
    assert.match((await own.must(['history', to])).stdout, /COPY a \/a/);
  }
  const index = JSON.parse(readFileSync(join(at('hop-layout'), 'index.json'), 'utf8'));
  assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'docker.io/library/app:v1');
  using other = program();
  assert.equal(await idOf(other, remote), id);
  const skopeo = await must(['skopeo', 'inspect', '--config', '--tls-verify=false', remote]);
  assert.deepEqual(JSON.parse(skopeo).config.Cmd, ['/a']);
  assert.equal((await other.must(['images', '-q'])).stdout, ''); // looking gives no name
  const missing = await own.run(['history', `oci:${at('no-such')}`]);
  assert.deepEqual([missing.status, /there is no directory/.test(missing.stderr)], [1, true]);
  const failed = await own.run(['image', 'copy', 'app:1', 'docker://127.0.0.1:1/none:1', '--retry=0']);
  assert.equal(failed.status, 1);
});

test('pull and push take all tags, keep digests, and say what they did', async () => {
  await using registry = await startDockerRegistry();
  const name = `${registry.host}/team/app`;
  using own = program();
  await own.must(['load', '-i', at('slipway.tar')]);
  for (const tag of ['one', 'two']) await own.must(['tag', 'app:1', `${name}:${tag}`]);
  const pushed = await own.must(['push', '-a', name]);
  assert.match(pushed.stderr, /one: digest: sha256:[0-9a-f]{64} size: \d+\n[\s\S]*two: digest/);
  const digest = pushed.stdout.split('\n')[0] ?? '';
  assert.match((await own.must(['images', '--digests', name])).stdout, new RegExp(digest));
  using other = program();
  const pulled = await other.must(['pull', '-a', name]);
  assert.match(pulled.stderr, new RegExp(`Digest: ${digest}`));
  assert.deepEqual(
    (await other.must(['images', '--format', '{{.Repository}}:{{.Tag}}@{{.Digest}}'])).stdout
      .trim()
      .split('\n')
      .sort(),
    [`${name}:one@${digest}`, `${name}:two@${digest}`],
  );
  assert.match((await other.must(['pull', `${name}:one`])).stderr, /Image is up to date/);
  assert.equal((await other.must(['pull', '-q', `${name}@${digest}`])).stdout, `${name}@${digest}\n`);
  assert.equal(await idOf(other, `${name}@${digest}`), id);
  const removed = (await other.must(['rmi', `${name}:one`, `${name}:two`])).stdout;
  assert.match(removed, new RegExp(`Untagged: ${name}@${digest}\nDeleted: ${id}`));
  assert.equal((await own.run(['push', `${name}:none`])).status, 1);
  assert.equal((await own.run(['push', '-a', `${name}:one`])).status, 2);
  const search = await own.must(['search', `${registry.host}/tea`]);
  assert.match(search.stdout, new RegExp(`^NAME +DESCRIPTION +STARS +OFFICIAL\n${name} `));
});

test('search shows what Docker Hub answers, filtered and formatted', async () => {
  const results = [
    {
      name: 'busybox',
      description: 'A base image that is so small that it is a wonder',
      star_count: 3000,
      is_official: true,
    },
    { name: 'me/busybox', description: '', star_count: 2, is_official: false },
  ];
  const hub = await serve({ '/v1/search': JSON.stringify({ results }) });
  try {
    const search = async (...args: string[]) =>
      (await slipway.must(['search', ...args, 'busybox'], { env: { SLIPWAY_SEARCH_URL: hub.address } }))
        .stdout;
    assert.equal(
      await search(),
      [
        'NAME         DESCRIPTION                                     STARS     OFFICIAL',
        'busybox      A base image that is so small that it is a wo…   3000      [OK]',
        'me/busybox                                                   2         ',
        '',
      ]
        .join('\n')
        .replace('wo…   ', 'w…   '),
    );
    assert.equal(await search('-f', 'stars=3', '--format', '{{.Name}} {{.StarCount}}'), 'busybox 3000\n');
    assert.equal(await search('-f', 'is-official=false', '--format', '{{.Name}}'), 'me/busybox\n');
    assert.equal(await search('--limit', '1', '--format', '{{.Name}}'), 'busybox\n');
    assert.equal(
      await search('-f', 'stars=3', '--format', 'json'),
      '{"Description":"A base image that is so small that it is a w…","IsOfficial":"true","Name":"busybox","StarCount":"3000"}\n',
    );
    assert.equal((await slipway.run(['search', '--limit', '101', 'x'])).status, 2);
    assert.equal((await slipway.run(['search', '-f', 'stars=x', 'x'])).status, 2);
  } finally {
    hub.close();
  }
});

test('images are handed over to an engine through its socket', async () => {
  await engine.docker(['rmi', '-f', id]);
  const env = { DOCKER_HOST: engine.host };
  const said = await slipway.must(['load-into', 'app:1'], { env });
  assert.equal(said.stdout, 'Loaded image: app:1\n');
  assert.equal((await engine.docker(['inspect', '-f', '{{.Id}}', 'app:1'])).trim(), id);
  await engine.docker(['rmi', '-f', id]);
  const dir = writeContext(slipway, { Dockerfile: 'FROM app:1\nCOPY Dockerfile /d\n' });
  const built = (await slipway.must(['build', '-q', '--load', '-t', 'loaded', dir], { env })).stdout.trim();
  assert.equal((await engine.docker(['inspect', '-f', '{{.Id}}', 'loaded'])).trim(), built);
  const early = await slipway.run(['build', '--load', dir], { env: { DOCKER_HOST: 'nonsense' } });
  assert.equal(early.status, 1);
  assert.doesNotMatch(early.stderr, /FROM/);
  const missing = await slipway.run(['load-into', 'app:1'], {
    env: { DOCKER_HOST: `unix://${at('no.sock')}` },
  });
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /the engine at unix:.* cannot be reached/);
  assert.equal((await slipway.run(['load-into', 'app:1'], { env: { DOCKER_HOST: 'ssh://x' } })).status, 1);
});

test('an image of several platforms keeps all of them on its way through files, the store and a registry', async () => {
  await using registry = await startDockerRegistry();
  using own = program();
  const dir = writeContext(own, { Dockerfile: 'FROM scratch\nARG TARGETARCH\nLABEL arch=$TARGETARCH\n' });
  const layout = join(own.dir, 'multi');
  const built = ['build', '--platform=linux/amd64,linux/arm64', '-t', 'multi:1', '-o'];
  await own.must([...built, `type=oci,tar=false,dest=${layout}`, dir]);
  const arch = async (where: Program, text: string, platform: string) =>
    (
      await where.must(['inspect', '--platform', platform, '-f', '{{.Config.Labels.arch}}', text])
    ).stdout.trim();
  const remote = `docker://${registry.host}/multi:1`;
  const hops = [`oci:${layout}`, 'multi:copy', remote, `oci-archive:${join(own.dir, 'multi.tar')}`];
  const digests = new Set<string>();
  for (const [i, to] of hops.entries()) {
    if (i > 0) digests.add((await own.must(['image', 'copy', '-a', hops[i - 1] ?? '', to])).stdout);
    assert.equal(await arch(own, to, 'linux/arm64'), 'arm64', to);
    assert.equal(await arch(own, to, 'linux/amd64'), 'amd64', to);
  }
  assert.equal(digests.size, 1); // the index is the same everywhere
  await own.must(['save', '-o', join(own.dir, 'saved.tar'), 'multi:copy']);
  using other = program();
  await other.must(['load', '-i', join(own.dir, 'saved.tar')]);
  assert.equal(await arch(other, 'multi:copy', 'linux/arm64'), 'arm64');
  using third = program();
  await third.must(['load', '-i', join(own.dir, 'saved.tar'), '--platform', 'linux/arm64']);
  assert.equal(await arch(third, 'multi:copy', 'linux/arm64'), 'arm64');
  const none = await other.run(['inspect', '--platform', 'linux/riscv64', 'multi:copy']);
  assert.equal(none.status, 1);
  assert.match(none.stderr, /no variant for linux\/riscv64[\s\S]*linux\/arm64/);
  assert.equal(
    (await other.run(['load', '-i', join(own.dir, 'saved.tar'), '--platform', 'linux/riscv64'])).status,
    1,
  );
});
