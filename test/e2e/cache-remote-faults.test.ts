// Remote caches that are not there, broken, lying, or written by many at once: a build never fails of one that it reads,
// and never makes a wrong image.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { writeContext } from '../support/images.ts';
import type { Program } from '../support/program.ts';
import {
  blobOf,
  build,
  type CacheWorld,
  cachedSteps,
  manifestOf,
  putBlob,
  putManifest,
  startCacheWorld,
} from '../support/remote-cache.ts';

let world: CacheWorld;
before(async () => {
  world = await startCacheWorld();
});
after(() => world?.stop());

const repository = 'team/cache';
const cacheAt = (tag: string) => `type=registry,ref=${world.proxy.host}/${repository}:${tag}`;
const recordsType = 'application/vnd.slipway.cache.records.v1+json';
const hasty = ['--retry', '0'];

function project(slipway: Program, ...steps: string[]): string {
  return writeContext(slipway, {
    Dockerfile: `FROM busybox\n${steps.map(step => `RUN ${step}\n`).join('')}`,
  });
}

/** A build into a tar, which needs all bytes. @returns its files' names and what it said */
async function exported(slipway: Program, ...args: string[]) {
  const dest = join(slipway.dir, 'out.tar');
  rmSync(dest, { force: true });
  const ended = await build(slipway, ...hasty, '-o', `type=tar,dest=${dest}`, ...args);
  return { ...ended, tar: readFileSync(dest).toString('latin1') };
}

describe('a cache that cannot be read', () => {
  it('is one warning', async () => {
    const { registry } = world;
    using slipway = world.machine();
    const config = {
      ...(await putBlob(registry.host, repository, Buffer.from('{"version":1'))),
      mediaType: recordsType,
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers: [],
    };
    await putManifest(registry.host, repository, 'broken', manifest);
    const newer = {
      ...(await putBlob(registry.host, repository, Buffer.from('{"version":2}'))),
      mediaType: recordsType,
    };
    await putManifest(registry.host, repository, 'newer', { ...manifest, config: newer });
    const large = {
      ...(await putBlob(registry.host, repository, Buffer.alloc(5_000_000, 32))),
      mediaType: recordsType,
    };
    await putManifest(registry.host, repository, 'large', { ...manifest, config: large });
    const chart = { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' };
    await putManifest(registry.host, repository, 'chart', { ...manifest, config: chart });
    const layout = join(slipway.dir, 'layout');
    mkdirSync(join(layout, 'blobs'), { recursive: true });
    symlinkSync('/etc/passwd', join(layout, 'index.json'));
    const dir = project(slipway, 'echo one > /one', 'echo two > /two');
    const refs = ['broken', 'newer', 'large', 'chart'].flatMap(tag => ['--cache-from', cacheAt(tag)]);
    const from = [...refs, '--cache-from', '127.0.0.1:1/x:y', '--cache-from', `type=local,src=${layout}`];
    const ended = await build(
      slipway,
      ...hasty,
      ...from,
      '--cache-from',
      `type=local,src=${slipway.dir}/none`,
      dir,
    );
    assert.equal(cachedSteps(ended), '0 of 2');
    const said = (text: RegExp) =>
      assert.equal(ended.stderr.match(text)?.length, 1, `${text}: ${ended.stderr}`);
    said(/cache:broken cannot be used: its records are not valid JSON/g);
    said(/cache:newer cannot be used: its format has version 2/g);
    said(/cache:large cannot be used: .* more than 4194304/g);
    said(/cache:chart cannot be used: it is neither a cache/g);
    said(/127.0.0.1:1\/x:y cannot be used/g);
    said(/layout:latest cannot be used/g);
    assert.equal(ended.stderr.match(/^warning: /gm)?.length, 6, 'the one that is not there yet is none');
  });

  it('is replaced when it is broken, and left alone when it is something else', async () => {
    using slipway = world.machine();
    const { proxy, registry } = world;
    const dir = project(slipway, 'date +%N > /replaced');
    await build(slipway, '--cache-to', cacheAt('broken'), dir);
    using empty = world.machine();
    assert.equal(cachedSteps(await build(empty, '--cache-from', cacheAt('broken'), dir)), '1 of 1');
    await build(slipway, '-t', `${proxy.host}/team/image:1`, '--push', dir);
    const before = await manifestOf(registry.host, 'team/image', '1');
    for (const ref of [`${proxy.host}/team/image:1`, `${proxy.host}/${repository}:newer`]) {
      const ended = await slipway.run(['build', '--cache-to', ref, dir]);
      assert.equal(ended.status, ref.includes('image') ? 2 : 1, ended.stderr);
      assert.match(ended.stderr, /something else than a cache of slipway|format has version 2/);
    }
    assert.deepEqual(await manifestOf(registry.host, 'team/image', '1'), before);
    assert.doesNotMatch(
      (await build(empty, '--cache-from', `${proxy.host}/team/image:1`, dir)).stderr,
      /warning/,
    );
  });
});

describe('a layer of a cache', () => {
  const steps = ['date +%s%N > /one', 'date +%s%N > /two'];

  it('that is gone, or cannot be fetched any more, is made again', async () => {
    using warm = world.machine();
    const dir = project(warm, ...steps);
    await build(warm, '--cache-to', cacheAt('gone'), dir);
    const { config, layers } = await manifestOf(world.registry.host, repository, 'gone');
    const records = JSON.parse(
      (await blobOf(world.registry.host, repository, config.digest)).toString(),
    ).records;
    const second = records.find((record: { display: string }) => record.display.includes('/two'));
    for (const status of [404, 503]) {
      using empty = world.machine();
      const last = layers[second.layer]?.digest ?? '';
      world.proxy.breaks = (method, path) => (method === 'GET' && path.endsWith(last) ? status : undefined);
      try {
        const ended = await exported(empty, '--cache-from', cacheAt('gone'), dir);
        assert.match(ended.stderr, /warning: a layer of a build cache cannot be used/);
        assert.equal(cachedSteps(ended), status === 404 ? '1 of 2' : '0 of 2', ended.stderr);
        assert.ok(ended.tar.includes('two'));
      } finally {
        world.proxy.breaks = () => undefined;
      }
      // What was made is what counts from now on, with the cache and without it.
      assert.equal(cachedSteps(await exported(empty, dir)), '2 of 2');
    }
  });

  it('that is not what the records say is noticed', async () => {
    using warm = world.machine();
    using empty = world.machine();
    const { registry } = world;
    const dir = project(warm, ...steps);
    await build(warm, '--cache-to', cacheAt('lies'), dir);
    const manifest = await manifestOf(registry.host, repository, 'lies');
    const evil = gzipSync(Buffer.alloc(10_240));
    const other = await putBlob(registry.host, repository, evil);
    const layers = manifest.layers.map(layer => ({ ...layer, ...other }));
    await putManifest(registry.host, repository, 'lies', { ...manifest, layers });
    const ended = await exported(empty, '--cache-from', cacheAt('lies'), dir);
    assert.match(ended.stderr, /warning: a layer of a build cache cannot be used/);
    assert.equal(cachedSteps(ended), '0 of 2');
    assert.match(ended.tar, /one[\s\S]*two/);
    using third = world.machine();
    const piped = await build(third, '--cache-from', cacheAt('lies'), '-o', 'type=docker,dest=-', dir);
    assert.match(piped.stderr, /warning: a layer of a build cache cannot be used/);
    assert.match(piped.stdout, /manifest\.json/);
    // The base's layer under a false blob: the one from the base's own manifest goes before.
    const records = JSON.parse((await blobOf(registry.host, repository, manifest.config.digest)).toString());
    const inspected = await empty
      .must(['inspect', '--format', '{{json .RootFS.Layers}}', 'busybox'])
      .catch(() => undefined);
    assert.ok(records.records.length > 0 || inspected);
  });
});

describe('writing a cache', () => {
  it('that cannot be reached fails the build afterwards, unless that is to be ignored', async () => {
    using slipway = world.machine();
    const dir = project(slipway, 'true');
    const to = 'type=registry,ref=127.0.0.1:1/x:y';
    const failed = await slipway.run(['build', ...hasty, '-t', 'delivered', '--cache-to', to, dir]);
    assert.equal(failed.status, 1, failed.stderr);
    assert.match(failed.stderr, /127\.0\.0\.1:1/);
    assert.match((await slipway.must(['images'])).stdout, /^delivered/m);
    const ignored = await build(slipway, ...hasty, '--cache-to', `${to},ignore-error=true`, dir);
    assert.match(ignored.stderr, /the cache was not written/);
    const offline = await slipway.run(['build', '--offline', '--cache-to', to, dir]);
    assert.equal(offline.status, 2);
    assert.match(offline.stderr, /--offline does not go with a cache on a server/);
  });

  it('is done also when no step has a layer', async () => {
    using slipway = world.machine();
    using empty = world.machine();
    const dir = project(slipway, 'true');
    await build(slipway, '--cache-to', cacheAt('none'), dir);
    assert.equal(cachedSteps(await build(empty, '--cache-from', cacheAt('none'), dir)), '1 of 1');
  });

  it('of eight builders at once loses nothing', async () => {
    const dir = join(world.machine().dir, 'projects');
    mkdirSync(dir);
    const dockerfile = (n: number) =>
      `FROM busybox AS made\nCOPY a /a\nRUN cat /a > /b; date +%s%N >> /b\nFROM busybox\nRUN date +%s%N > /common\nCOPY --from=made /b /b\nRUN echo ${n} > /own\n`;
    const contexts = Array.from({ length: 8 }, (_, n) => {
      const context = join(dir, String(n));
      mkdirSync(context);
      writeFileSync(join(context, 'Dockerfile'), dockerfile(n));
      writeFileSync(join(context, 'a'), `content ${n}`);
      return context;
    });
    const to = ['--cache-to', `${cacheAt('eight')},mode=max`];
    const machines = contexts.map(() => world.machine());
    try {
      await Promise.all(contexts.map((context, n) => build(machines[n] as Program, ...to, context)));
      const { layers } = await manifestOf(world.registry.host, repository, 'eight');
      for (const { digest, size } of layers) {
        assert.equal((await blobOf(world.registry.host, repository, digest)).length, size, 'complete');
      }
      using empty = world.machine();
      for (const context of contexts) {
        using other = world.machine();
        const ended = await build(other, '--cache-from', cacheAt('eight'), context);
        assert.equal(cachedSteps(ended), '5 of 5', ended.stderr);
      }
      // One store that takes them all, one after another, goes with the first of the results that they do not share.
      const shared = await build(empty, '--cache-from', cacheAt('eight'), contexts[3] ?? '');
      assert.equal(cachedSteps(shared), '5 of 5');
    } finally {
      for (const machine of machines) machine[Symbol.dispose]();
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('by builders that executed the same step leads each to what stands on its own result', async () => {
    using empty = world.machine();
    const cache = join(empty.dir, 'cache');
    // The instructions are the same on all machines, what they copy is not.
    const dockerfile = 'FROM busybox\nRUN date +%s%N > /common\nCOPY a /a\nRUN cat /a; date +%s%N > /last\n';
    const contexts: string[] = [];
    for (const n of [0, 1, 2]) {
      using slipway = world.machine();
      const context = writeContext(empty, { Dockerfile: dockerfile, a: `content ${n}` });
      contexts.push(context);
      await build(slipway, '--cache-to', `type=local,dest=${cache}`, context);
    }
    for (const context of contexts) {
      using other = world.machine();
      const ended = await build(other, '--cache-from', `type=local,src=${cache}`, context);
      assert.equal(cachedSteps(ended), '3 of 3', ended.stderr);
    }
  });

  it('into one directory by several at once loses nothing either', async () => {
    using first = world.machine();
    const cache = join(first.dir, 'cache');
    const machines = Array.from({ length: 4 }, () => world.machine());
    try {
      const contexts = machines.map((machine, n) =>
        writeContext(machine, { Dockerfile: 'FROM scratch\nCOPY a /a\nCOPY a /b\n', a: `content ${n}` }),
      );
      const to = ['--cache-to', `type=local,dest=${cache}`];
      await Promise.all(contexts.map((context, n) => build(machines[n] as Program, ...to, context)));
      for (const context of contexts) {
        assert.equal(
          cachedSteps(await build(first, '--cache-from', `type=local,src=${cache}`, context)),
          '2 of 2',
        );
      }
      assert.equal(readdirSync(join(cache, 'blobs/sha256')).filter(name => name.startsWith('.')).length, 0);
    } finally {
      for (const machine of machines) machine[Symbol.dispose]();
    }
  });
});
