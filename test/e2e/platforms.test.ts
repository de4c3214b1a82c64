// Images for several platforms: built, pushed, read by docker and skopeo, and the reverse.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parsePlatform } from '../../src/image/platform.ts';
import { canRun, endingProgram } from '../../src/sandbox/emulation.ts';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { type Engine, startEngine } from '../support/engine.ts';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { must, type Program, program } from '../support/program.ts';

let bases: BaseRegistry;
let registry: RunningRegistry;
let engine: Engine;

before(async () => {
  [bases, registry, engine] = await Promise.all([startRegistry(), startDockerRegistry(), startEngine()]);
});
after(async () => {
  await Promise.all([bases?.stop(), registry?.[Symbol.asyncDispose](), engine?.stop()]);
});

const slipwayHere = () => program({ CONTAINERS_REGISTRIES_CONF: bases.registriesConf });

function context(slipway: Program, dockerfile: string): string {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

const cross = `
FROM --platform=$BUILDPLATFORM busybox AS tools
RUN cat /proc/sys/kernel/random/uuid > /once
FROM --platform=$BUILDPLATFORM busybox AS compile
ARG TARGETPLATFORM
RUN echo "$TARGETPLATFORM" > /target
FROM scratch
COPY --from=tools /once /once
COPY --from=compile /target /target
`;
const both = ['--platform', 'linux/amd64,linux/arm64'];

const fetchIndex = async (path: string) =>
  (
    await fetch(`http://${registry.host}/v2/${path}`, {
      headers: { accept: 'application/vnd.oci.image.index.v1+json' },
    })
  ).json() as Promise<{ manifests: { digest: string; platform: { architecture: string } }[] }>;

describe('a build for several platforms', () => {
  it('runs what is on the build platform once, and makes files for each platform', async () => {
    using slipway = slipwayHere();
    const out = join(slipway.dir, 'out');
    const built = await slipway.must([
      ...['build', '--progress', 'plain', ...both, '-o', out],
      context(slipway, cross),
    ]);
    const file = (path: string) => readFileSync(join(out, path), 'utf8');
    assert.equal(file('linux_amd64/target'), 'linux/amd64\n');
    assert.equal(file('linux_arm64/target'), 'linux/arm64\n');
    assert.equal(file('linux_amd64/once'), file('linux_arm64/once'));
    assert.equal(built.stderr.match(/^#\d+ \[.*random\/uuid/gm)?.length, 1, built.stderr);
    const again = await slipway.must(['build', ...both, '-o', out, context(slipway, cross)]);
    assert.match(again.stderr, /(\d+) of \1 steps cached/);
  });

  it('is pushed as an index that docker, skopeo and slipway take their platform from', async () => {
    using slipway = slipwayHere();
    const name = `${registry.host}/team/multi:1`;
    await slipway.must(['build', ...both, '-t', name, '--push', context(slipway, cross)]);
    const index = await fetchIndex('team/multi/manifests/1');
    assert.deepEqual(
      index.manifests.map(each => each.platform.architecture),
      ['amd64', 'arm64'],
    );
    for (const arch of ['amd64', 'arm64']) {
      await engine.docker(['pull', '-q', '--platform', `linux/${arch}`, name]);
      const found = await engine.docker(['image', 'inspect', '-f', '{{.Architecture}}', name]);
      assert.equal(found.trim(), arch);
    }
    await must([
      ...['skopeo', 'copy', '-q', '--all', '--src-tls-verify=false', '--insecure-policy'],
      ...[`docker://${name}`, `oci:${join(slipway.dir, 'layout')}:1`],
    ]);
    using other = slipwayHere();
    const out = join(other.dir, 'out');
    await other.must(['build', '--platform', 'linux/arm64', '-o', out, context(other, `FROM ${name}\n`)]);
    assert.equal(readFileSync(join(out, 'target'), 'utf8'), 'linux/arm64\n');
  });

  it('kept in the store is pushed whole, with packed layers', async () => {
    using slipway = slipwayHere();
    const name = `${registry.host}/team/kept:1`;
    await slipway.must(['build', ...both, '-t', name, context(slipway, cross)]);
    await slipway.must(['push', name]);
    const index = await fetchIndex('team/kept/manifests/1');
    assert.equal(index.manifests.length, 2);
    for (const { digest } of index.manifests) {
      const answer = await fetch(`http://${registry.host}/v2/team/kept/manifests/${digest}`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      });
      const { layers } = (await answer.json()) as { layers: { mediaType: string }[] };
      for (const { mediaType } of layers) assert.match(mediaType, /gzip$/);
    }
  });

  it('as a docker archive is loaded by docker, which takes the image of this machine', async () => {
    using slipway = slipwayHere();
    const file = join(slipway.dir, 'image.tar');
    const spec = `type=docker,dest=${file}`;
    await slipway.must(['build', ...both, '-t', 'multi-archive:1', '-o', spec, context(slipway, cross)]);
    await engine.docker(['load', '-q', '-i', file]);
    const found = await engine.docker(['image', 'inspect', '-f', '{{.Architecture}}', 'multi-archive:1']);
    assert.equal(found.trim(), process.arch === 'x64' ? 'amd64' : process.arch);
  });

  for (const arch of ['386', 'arm64', 's390x']) {
    it(`executes commands for linux/${arch} if this machine can, and refuses them if it cannot`, async () => {
      using slipway = slipwayHere();
      const dir = context(slipway, 'FROM scratch\nCOPY program /program\nRUN ["/program"]\n');
      writeFileSync(join(dir, 'program'), endingProgram(arch) ?? '', { mode: 0o755 });
      const ended = await slipway.run(['build', '--platform', `linux/${arch}`, dir]);
      const can = await canRun(parsePlatform(`linux/${arch}`));
      assert.equal(ended.status, can ? 0 : 1, ended.stderr);
      if (!can) assert.match(ended.stderr, new RegExp(`binfmt --install ${arch}`));
    });
  }

  it('is refused with its place before anything runs where a RUN cannot be carried out', async () => {
    using slipway = slipwayHere();
    const foreign = await slipway.run([
      ...['build', '--progress', 'plain', '--platform', 'windows/amd64'],
      context(
        slipway,
        'FROM --platform=$BUILDPLATFORM busybox AS a\nRUN echo executed >&2\nFROM scratch\nCOPY --from=a /bin /bin\nRUN dir\n',
      ),
    ]);
    assert.equal(foreign.status, 1);
    assert.match(foreign.stderr, /RUN for windows\/amd64 cannot be carried out/);
    assert.match(foreign.stderr, /Dockerfile:5/);
    assert.ok(!foreign.stderr.includes('executed\n'), foreign.stderr);
  });
});

describe('a manifest list', () => {
  it('is put together, annotated, pushed and removed; docker pulls each platform from it', async () => {
    using slipway = slipwayHere();
    const list = `${registry.host}/team/list:1`;
    const members = await Promise.all(
      ['amd64', 'arm64'].map(async arch => {
        const name = `${registry.host}/team/list:${arch}`;
        const dir = context(slipway, `FROM scratch\nLABEL for=${arch}\nCOPY Dockerfile /\n`);
        await slipway.must(['build', '-q', '--platform', `linux/${arch}`, '-t', name, '--push', dir]);
        return name;
      }),
    );
    const [amd64 = '', arm64 = ''] = members;
    const made = await slipway.must(['manifest', 'create', list, amd64]);
    assert.equal(made.stdout, `Created manifest list ${list}\n`);
    const refused = await slipway.run(['manifest', 'create', list, arm64]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /refusing to amend an existing manifest list with no --amend flag/);
    await slipway.must(['manifest', 'create', '--amend', list, arm64]);
    await slipway.must([
      ...[
        'manifest',
        'annotate',
        list,
        arm64,
        '--variant',
        'v8',
        '--os-version',
        '1.2',
        '--os-features',
        'a,b',
      ],
    ]);
    const shown = JSON.parse((await slipway.must(['manifest', 'inspect', list])).stdout);
    assert.deepEqual(
      shown.manifests.map((each: { platform: unknown }) => each.platform),
      [
        { architecture: 'amd64', os: 'linux' },
        { architecture: 'arm64', os: 'linux', 'os.version': '1.2', 'os.features': ['a', 'b'], variant: 'v8' },
      ],
    );
    const { stdout } = await slipway.must(['manifest', 'push', '--purge', list]);
    assert.match(stdout, /^sha256:[0-9a-f]{64}\n$/);
    for (const arch of ['amd64', 'arm64']) {
      await engine.docker(['pull', '-q', '--platform', `linux/${arch}`, list]);
      const label = await engine.docker(['image', 'inspect', '-f', '{{index .Config.Labels "for"}}', list]);
      assert.equal(label.trim(), arch);
    }
    const gone = await slipway.run(['manifest', 'rm', list]);
    assert.equal(gone.status, 1);
    assert.match(gone.stderr, /No such manifest: /);
  });

  it('that skopeo or docker pushed is pulled for each platform', async () => {
    using slipway = slipwayHere();
    const layout = join(slipway.dir, 'layout');
    const spec = `type=oci,tar=false,dest=${layout}`;
    await slipway.must(['build', ...both, '-t', 'x:1', '-o', spec, context(slipway, cross)]);
    const name = `${registry.host}/team/skopeo:1`;
    await must([
      ...['skopeo', 'copy', '-q', '--all', '--dest-tls-verify=false', '--insecure-policy'],
      ...[`oci:${layout}:1`, `docker://${name}`],
    ]);
    using other = slipwayHere();
    for (const arch of ['amd64', 'arm64']) {
      const out = join(other.dir, arch);
      const dir = context(other, `FROM ${name}\n`);
      await other.must(['build', '--platform', `linux/${arch}`, '-o', out, dir]);
      assert.equal(readFileSync(join(out, 'target'), 'utf8'), `linux/${arch}\n`);
    }
    const single = `${registry.host}/team/docker:1`;
    await engine.docker(['pull', '-q', `${registry.host}/team/skopeo:1`]);
    await engine.docker(['tag', `${registry.host}/team/skopeo:1`, single]);
    await engine.docker(['push', '-q', single]);
    await other.must(['pull', single]);
    const { stderr } = await other.must(['pull', '--platform', 'linux/arm64', single]);
    assert.match(stderr, /warning: \S+ is an image for linux\/amd64 only, not for linux\/arm64/);
    const archive = join(other.dir, 'single.tar');
    await other.must(['save', '-o', archive, single]);
    for (const args of [
      ['push', single],
      ['load', '-i', archive],
      ['save', '-o', `${archive}2`, single],
      ['image', 'inspect', single],
    ]) {
      const refused = await other.run([...args, '--platform', 'linux/arm64']);
      assert.equal(refused.status, 1, args[0]);
      assert.match(refused.stderr, /is for linux\/amd64, not for linux\/arm64/);
    }
  });
});

describe('single platforms of an image in the store', () => {
  const rows = (text: string) => text.split('\n').map(line => line.split(/ {2,}/));

  it('are shown by images --tree', async () => {
    using slipway = slipwayHere();
    await slipway.must([
      'build',
      ...both,
      '-t',
      'app',
      '-t',
      'app:2',
      context(slipway, 'FROM scratch\nCOPY Dockerfile /\n'),
    ]);
    const [head, name, other, ...platforms] = rows((await slipway.must(['images', '--tree'])).stdout);
    assert.deepEqual(head, ['IMAGE', 'ID', 'DISK USAGE', 'CONTENT SIZE']);
    assert.deepEqual([name?.[0], other?.[0]], ['app:2', 'app:latest']);
    assert.deepEqual(
      platforms.slice(0, 2).map(row => row[0]),
      ['├─ linux/amd64', '└─ linux/arm64'],
    );
    const { stdout } = await slipway.must(['manifest', 'inspect', 'app']);
    const digests = JSON.parse(stdout).manifests.map((each: { digest: string }) => each.digest.slice(7, 19));
    assert.deepEqual(
      platforms.slice(0, 2).map(row => row[1]),
      digests,
    );
    const refused = await slipway.run(['images', '--tree', '-q']);
    assert.match(refused.stderr, /--quiet cannot be used with --tree/);
    assert.equal(refused.status, 2);
  });

  it('are removed by rmi --platform, the image with the last one', async () => {
    using slipway = slipwayHere();
    await slipway.must([
      'build',
      ...both,
      '-t',
      'app',
      '-t',
      'kept',
      context(slipway, 'FROM scratch\nCOPY Dockerfile /\n'),
    ]);
    const architectures = async (name: string) =>
      JSON.parse((await slipway.must(['manifest', 'inspect', name])).stdout).manifests.map(
        (each: { platform: { architecture: string } }) => each.platform.architecture,
      );
    const wrong = await slipway.run(['rmi', '--platform', 'linux/s390x', 'app']);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /no variant for linux\/s390x\n.*linux\/amd64, linux\/arm64/);
    assert.match((await slipway.must(['rmi', '--platform=linux/arm64', 'app'])).stdout, /^Deleted: sha256:/);
    assert.deepEqual(
      [await architectures('app'), await architectures('kept')],
      [['amd64'], ['amd64', 'arm64']],
    );
    assert.match(
      (await slipway.must(['rmi', '--platform=linux/amd64', 'app'])).stdout,
      /^Untagged: app:latest/,
    );
    assert.doesNotMatch((await slipway.must(['images'])).stdout, /^app /m);
    await slipway.must(['save', 'kept', '-o', join(slipway.dir, 'kept.tar')]);
  });
});
