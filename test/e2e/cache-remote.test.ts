// Results that travel: --cache-to and --cache-from through the real command line and a real registry.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { writeContext } from '../support/images.ts';
import { type Program, run } from '../support/program.ts';
import {
  blobOf,
  build,
  type CacheWorld,
  cachedSteps,
  fetchedBlobs,
  manifestOf,
  startCacheWorld,
} from '../support/remote-cache.ts';
import { repoRoot } from '../support/repo.ts';

let world: CacheWorld;
before(async () => {
  world = await startCacheWorld();
});
after(() => world?.stop());

const twoStages = `FROM busybox AS made
WORKDIR /src
COPY a .
RUN date +%s%N > made && cat a >> made
FROM busybox
RUN date +%s%N > /first
COPY --from=made /src/made /made
RUN date +%s%N > /last
`;

function project(slipway: Program, dockerfile = twoStages, files: Record<string, string> = {}): string {
  return writeContext(slipway, { Dockerfile: dockerfile, a: 'one', ...files });
}

const cacheAt = (tag: string) => `type=registry,ref=${world.proxy.host}/team/cache:${tag}`;

describe('a cache in a registry', () => {
  it('lets an empty machine execute nothing and download no layer that the output does not need', async () => {
    using warm = world.machine();
    using empty = world.machine();
    const { proxy, registry } = world;
    const dir = project(warm);
    const app = `${proxy.host}/team/app`;
    const first = await build(
      warm,
      '-t',
      `${app}:1`,
      '--push',
      '--cache-to',
      `${cacheAt('main')},mode=max`,
      dir,
    );
    assert.equal(cachedSteps(first), '0 of 6');
    const cache = await manifestOf(registry.host, 'team/cache', 'main');
    assert.equal(cache.artifactType, cache.config.mediaType);
    assert.equal(cache.layers.length, 6);
    proxy.take();
    const second = await build(empty, '-t', `${app}:2`, '--push', '--cache-from', cacheAt('main'), dir);
    assert.equal(cachedSteps(second), '6 of 6', second.stderr);
    assert.deepEqual(fetchedBlobs(proxy.take()), [cache.config.digest], 'the records, and nothing else');
    const [one, two] = [
      await manifestOf(registry.host, 'team/app', '1'),
      await manifestOf(registry.host, 'team/app', '2'),
    ];
    assert.deepEqual(two, one, 'the same image');
    // An output that needs the bytes gets those of the image, not those of the other stage.
    const out = join(empty.dir, 'out.tar');
    await build(empty, '-o', `type=docker,dest=${out}`, '--cache-from', cacheAt('main'), dir);
    const layers = one.layers.map(({ digest }) => digest);
    assert.deepEqual(fetchedBlobs(proxy.take()).sort(), layers.sort());
  });

  it('goes on where something changed, with the layers that this needs', async () => {
    using warm = world.machine();
    using empty = world.machine();
    const dir = project(warm);
    await build(warm, '--cache-to', `${cacheAt('changed')},mode=max`, dir);
    const { layers } = await manifestOf(world.registry.host, 'team/cache', 'changed');
    writeFileSync(join(dir, 'a'), 'two');
    world.proxy.take();
    const ended = await build(
      empty,
      '--explain',
      '-o',
      'type=cacheonly',
      '--cache-from',
      cacheAt('changed'),
      dir,
    );
    assert.equal(cachedSteps(ended), '2 of 6', ended.stderr);
    assert.match(ended.stderr, /found in 127[\s\S]*CACHED/);
    const blobs = fetchedBlobs(world.proxy.take());
    // The records, WORKDIR and the first RUN: what the executed steps stand on.
    assert.equal(blobs.length, 3);
    assert.equal(blobs.filter(digest => layers.some(layer => layer.digest === digest)).length, 2);
  });

  it('joins what several builds put there, and is written only when there is news', async () => {
    using one = world.machine();
    using two = world.machine();
    using empty = world.machine();
    const both = ['--cache-from', cacheAt('joined'), '--cache-to', cacheAt('joined')];
    const lint = project(one, 'FROM busybox\nRUN date +%N > /common\nRUN echo lint > /lint\n');
    const test = project(two, 'FROM busybox\nRUN date +%N > /common\nRUN echo test > /test\n');
    const first = await build(one, ...both, lint);
    assert.doesNotMatch(first.stderr, /warning/i, 'that there is no cache yet is nothing to worry about');
    assert.equal(cachedSteps(await build(two, ...both, test)), '1 of 2');
    for (const dir of [lint, test]) assert.equal(cachedSteps(await build(empty, ...both, dir)), '2 of 2');
    world.proxy.take();
    await build(one, ...both, lint);
    assert.deepEqual(
      world.proxy.take().filter(line => /^(?:PUT|POST|PATCH)/.test(line)),
      [],
    );
  });

  it('with mode=min has the steps of the image alone, with mode=max all', async () => {
    using slipway = world.machine();
    const dir = project(slipway);
    const to = (mode: string) => ['--cache-to', `${cacheAt(mode)},mode=${mode}`];
    await build(slipway, ...to('min'), ...to('max'), dir);
    const count = async (tag: string) =>
      (await manifestOf(world.registry.host, 'team/cache', tag)).layers.length;
    assert.deepEqual([await count('min'), await count('max')], [3, 6]);
  });

  it('is packed as asked for', async () => {
    using slipway = world.machine();
    const dir = project(slipway);
    await build(slipway, '--cache-to', `${cacheAt('zstd')},compression=zstd,compression-level=1`, dir);
    const { layers } = await manifestOf(world.registry.host, 'team/cache', 'zstd');
    assert.ok(layers.every(({ mediaType }) => mediaType.endsWith('+zstd')));
    using empty = world.machine();
    assert.equal(
      cachedSteps(await build(empty, '--cache-from', cacheAt('zstd'), '--target', 'made', dir)),
      '0 of 3',
    );
    assert.equal(
      cachedSteps(
        await build(empty, '-o', `type=tar,dest=${empty.dir}/x`, '--cache-from', cacheAt('zstd'), dir),
      ),
      '4 of 6',
    );
  });

  it('is written when the build fails, and the first of several that has a result is taken', async () => {
    using slipway = world.machine();
    using empty = world.machine();
    const dir = project(slipway, 'FROM busybox\nRUN date +%N > /good\nRUN exit 3\n');
    const ended = await slipway.run(['build', '--progress=plain', '--cache-to', cacheAt('failed'), dir]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /ended with status 3/);
    writeFileSync(join(dir, 'Dockerfile'), 'FROM busybox\nRUN date +%N > /good\nRUN true\n');
    const from = ['nothing-here', 'failed', 'joined'].flatMap(tag => ['--cache-from', cacheAt(tag)]);
    const again = await build(empty, ...from, dir);
    assert.equal(cachedSteps(again), '1 of 2');
    assert.match(again.stderr, /found in .*team\/cache:failed/);
  });

  it('holds no secret, whatever a step did with it', async () => {
    using slipway = world.machine();
    const canary = 'canary-5b1f9c';
    const dir = project(
      slipway,
      'FROM busybox\nRUN --mount=type=secret,id=k,env=K --mount=type=secret,id=k,target=/k --mount=type=cache,target=/c cat /k; echo $K; cp /k /c/k; env > /c/env; echo ok > /ok\n',
    );
    const args = [
      '--secret',
      'id=k,env=CANARY',
      '--cache-to',
      `${cacheAt('secret')},mode=max,compression=uncompressed`,
    ];
    await slipway.must(['build', '--progress=plain', ...args, dir], { env: { CANARY: canary } });
    const manifest = await manifestOf(world.registry.host, 'team/cache', 'secret');
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      const bytes = await blobOf(world.registry.host, 'team/cache', digest);
      assert.ok(!bytes.includes(canary), digest);
      assert.ok(bytes.length > 0);
    }
  });
});

describe('a cache in a directory', () => {
  it('lets an empty machine execute nothing without opening a socket', async () => {
    using warm = world.machine();
    using empty = world.machine();
    const files =
      'FROM scratch AS made\nWORKDIR /d\nCOPY a /d/a\nFROM scratch\nCOPY --from=made /d /d\nCOPY a /b\n';
    const dir = project(warm, files);
    const cache = join(warm.dir, 'cache');
    await build(warm, '--cache-to', `type=local,dest=${cache},mode=max`, dir);
    assert.deepEqual(readdirSync(cache).sort(), ['blobs', 'index.json', 'oci-layout']);
    const log = join(empty.dir, 'strace');
    const out = join(empty.dir, 'out.tar');
    const from = ['--cache-from', `type=local,src=${cache}`, '--cache-from', cacheAt('main')];
    const args = ['build', '--progress=plain', '--offline', ...from, '-o', `type=oci,dest=${out}`, dir];
    const bin = join(repoRoot, 'bin/slipway.js');
    const ended = await run(
      ['strace', '-f', '-qq', '-e', 'trace=socket', '-o', log, process.execPath, bin, ...args],
      { env: { SLIPWAY_ROOT: empty.store } },
    );
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(cachedSteps(ended), '4 of 4', ended.stderr);
    assert.match(ended.stderr, /warning: the build is offline: only caches in directories are read/);
    assert.doesNotMatch(readFileSync(log, 'utf8'), /AF_INET/);
    assert.ok(readFileSync(out).length > 1000);
  });

  it('has several caches by tag, and what none needs is deleted on demand', async () => {
    using slipway = world.machine();
    const cache = join(slipway.dir, 'cache');
    const dir = project(slipway, 'FROM scratch\nCOPY a /a\n');
    const to = (more: string) => ['--cache-to', `type=local,dest=${cache},${more}`];
    await build(slipway, ...to('tag=one'), dir);
    writeFileSync(join(dir, 'a'), 'two');
    await build(slipway, ...to('tag=two'), dir);
    const index = () => JSON.parse(readFileSync(join(cache, 'index.json'), 'utf8')).manifests;
    const tags = index().map(
      (entry: { annotations: Record<string, string> }) =>
        entry.annotations['org.opencontainers.image.ref.name'],
    );
    assert.deepEqual(tags.sort(), ['one', 'two']);
    const blobs = () => readdirSync(join(cache, 'blobs/sha256')).sort();
    const before = blobs();
    writeFileSync(join(cache, 'blobs/sha256', 'f'.repeat(64)), 'left over');
    await build(slipway, ...to('tag=two,reset=true'), dir);
    assert.deepEqual(blobs(), before);
    using empty = world.machine();
    const from = (tag: string) => ['--cache-from', `type=local,src=${cache},tag=${tag}`];
    assert.equal(cachedSteps(await build(empty, ...from('one'), dir)), '0 of 1');
    using other = world.machine();
    assert.equal(cachedSteps(await build(other, ...from('two'), dir)), '1 of 1');
  });
});

describe('a cache in the image', () => {
  for (const [what, args] of [
    ['type=inline', ['--cache-to', 'type=inline']],
    ['BUILDKIT_INLINE_CACHE=1', ['--build-arg', 'BUILDKIT_INLINE_CACHE=1']],
  ] as const) {
    it(`travels with it (${what})`, async () => {
      using warm = world.machine();
      using empty = world.machine();
      const name = `${world.proxy.host}/team/inline:${args.length}${what.length}`;
      const dir = project(warm, 'FROM busybox\nRUN date +%N > /a\nWORKDIR /w\nRUN date +%N > b\n');
      await build(warm, ...args, '-t', name, '--push', dir);
      world.proxy.take();
      const ended = await build(empty, '--cache-from', name, '-t', `${name}-again`, ...args, '--push', dir);
      assert.equal(cachedSteps(ended), '3 of 3', ended.stderr);
      assert.equal(fetchedBlobs(world.proxy.take()).length, 1, 'the config');
      const tag = name.slice(name.lastIndexOf(':') + 1);
      const [one, two] = [tag, `${tag}-again`].map(each =>
        manifestOf(world.registry.host, 'team/inline', each),
      );
      assert.deepEqual(await two, await one);
      // Whoever builds on it does not inherit the records.
      const child = project(empty, `FROM ${name}\nCOPY a /\n`);
      await build(empty, '-t', `${name}-child`, '--push', child);
      const { config } = await manifestOf(world.registry.host, 'team/inline', `${tag}-child`);
      assert.ok(!(await blobOf(world.registry.host, 'team/inline', config.digest)).includes('slipway.cache'));
    });
  }

  it('has the records of each platform', async () => {
    using warm = world.machine();
    using empty = world.machine();
    const name = `${world.proxy.host}/team/platforms:1`;
    const dir = project(warm, 'FROM scratch\nARG TARGETARCH\nCOPY a /$TARGETARCH\nWORKDIR /w\n');
    const both = ['--platform', 'linux/amd64,linux/arm64'];
    await build(warm, ...both, '--cache-to', 'type=inline', '-t', name, '--push', dir);
    const ended = await build(empty, ...both, '--cache-from', name, '-o', 'type=cacheonly', dir);
    assert.equal(cachedSteps(ended), '4 of 4', ended.stderr);
    using one = world.machine();
    const arm = ['--platform', 'linux/arm64', '--cache-from', name, '-o', 'type=cacheonly'];
    assert.equal(cachedSteps(await build(one, ...arm, dir)), '2 of 2');
  });

  it('is nothing that a squashed image could have', async () => {
    using slipway = world.machine();
    const ended = await slipway.run(['build', '--squash', '--cache-to', 'type=inline', slipway.dir]);
    assert.equal(ended.status, 2);
    assert.match(ended.stderr, /--squash does not go with an inline cache/);
  });
});
