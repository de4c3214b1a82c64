// Blobs that break off, change, lie about themselves or never end.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { parseDigest } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { fileSink } from '../../src/registry/pull.ts';
import type { RegistriesOptions } from '../../src/registry/registry.ts';
import { type Exchange, MemoryRegistry } from '../support/memory-registry.ts';
import { MemorySink, never, testRegistries } from '../support/registries.ts';

const bytes = randomBytes(3_000_000);
const path = /\/blobs\//;

async function setUp(options: Partial<RegistriesOptions> = {}) {
  const registry = await new MemoryRegistry().start();
  const registries = testRegistries(options);
  const { digest, size } = registry.addBlob('app', bytes);
  const descriptor: Descriptor = { mediaType: mediaTypes.ociLayerTar, digest: parseDigest(digest), size };
  const sink = new MemorySink();
  return {
    registry,
    registries,
    sink,
    descriptor,
    download: (change: Partial<Descriptor> = {}, signal: AbortSignal = never) =>
      registries.download({ domain: registry.host, path: 'app' }, { ...descriptor, ...change }, sink, signal),
    ranges: () => registry.seen.map(seen => seen.headers.range ?? 'all'),
    async [Symbol.asyncDispose]() {
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

/** Sends the beginning of a blob honestly and then breaks the connection. */
function breakAfter(x: Exchange, count: number, from = 0, headers: Record<string, string> = {}): void {
  const etag = headers.etag ?? '"one"';
  x.response.writeHead(from ? 206 : 200, {
    ...(from ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    'content-length': String(bytes.length - from),
    ...(etag ? { etag } : {}),
  });
  x.response.write(bytes.subarray(from, from + count), () => setTimeout(() => x.reset(), 50));
}

/** Answers a range honestly under an ETag. */
async function serveRange(x: Exchange, etag: string): Promise<void> {
  const from = Number(/\d+/.exec(String(x.seen.headers.range))?.[0] ?? 0);
  if (!from || x.seen.headers['if-range'] !== etag) return x.answer(200, { etag }, bytes);
  x.answer(
    206,
    { etag, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
    bytes.subarray(from),
  );
}

describe('a download that breaks off', () => {
  it('goes on where it was when the registry has the same blob', async () => {
    await using t = await setUp();
    t.registry.script({ path }, x => serveRange(x, '"one"'));
    t.registry.script({ path, times: 1 }, x => breakAfter(x, 2_000_000));
    await t.download();
    assert.ok(t.sink.bytes.equals(bytes));
    assert.equal(t.sink.restarts, 0);
    const [first, second] = t.ranges();
    assert.equal(first, 'all');
    assert.match(String(second), /^bytes=[1-9]\d*-$/);
    assert.equal(t.registry.seen[1]?.headers['if-range'], '"one"');
  });

  it('begins anew when the blob changed meanwhile', async () => {
    await using t = await setUp();
    t.registry.script({ path }, x => serveRange(x, '"two"'));
    t.registry.script({ path, times: 1 }, x => breakAfter(x, 1_000_000));
    await t.download();
    assert.ok(t.sink.bytes.equals(bytes));
    assert.equal(t.sink.restarts, 1);
  });

  it('begins anew when the registry cannot prove that it has the same blob', async () => {
    for (const etag of ['', 'W/"weak"']) {
      await using t = await setUp();
      t.registry.script({ path, times: 1 }, x => breakAfter(x, 1_000_000, 0, { etag }));
      await t.download();
      assert.deepEqual(t.ranges(), ['all', 'all']);
      assert.ok(t.sink.bytes.equals(bytes));
    }
  });

  for (const [what, answer] of [
    [
      'another part',
      (x: Exchange) =>
        x.answer(206, { etag: '"one"', 'content-range': `bytes 5-9/${bytes.length}` }, bytes.subarray(5, 10)),
    ],
    [
      'a part of something else',
      (x: Exchange) => x.answer(206, { etag: '"one"', 'content-range': 'bytes 5-9/77' }, 'hello'),
    ],
    ['no word on which part', (x: Exchange) => x.answer(206, { etag: '"one"' }, 'hello')],
    ['416', (x: Exchange) => x.answer(416)],
    [
      'another ETag',
      (x: Exchange) =>
        breakAfter(x, 10, Number(/\d+/.exec(String(x.seen.headers.range))?.[0]), { etag: '"two"' }),
    ],
  ] as const) {
    it(`begins anew when the registry answers with ${what}`, async () => {
      await using t = await setUp();
      t.registry.script({ path, times: 1 }, answer);
      t.registry.script({ path, times: 1 }, x => breakAfter(x, 1_000_000));
      await t.download();
      assert.ok(t.sink.bytes.equals(bytes));
      assert.deepEqual(t.ranges().at(-1), 'all');
    });
  }

  it('and whose continuation was of another file is fetched whole once more', async () => {
    await using t = await setUp();
    t.registry.script({ path, times: 1 }, x => {
      const from = Number(/\d+/.exec(String(x.seen.headers.range))?.[0]);
      x.answer(
        206,
        { etag: '"one"', 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
        Buffer.alloc(bytes.length - from),
      );
    });
    t.registry.script({ path, times: 1 }, x => breakAfter(x, 1_000_000));
    await t.download();
    assert.ok(t.sink.bytes.equals(bytes));
  });

  it('may break more than five times as long as it gets on', async () => {
    const big = bytes.length;
    await using t = await setUp();
    let from = 0;
    t.registry.script({ path }, x => {
      from = Number(/\d+/.exec(String(x.seen.headers.range ?? 'bytes=0'))?.[0]);
      if (big - from < 400_000) return serveRange(x, '"one"');
      breakAfter(x, 350_000, from);
    });
    await t.download();
    assert.ok(t.sink.bytes.equals(bytes));
    assert.equal(t.sink.restarts, 0);
  });

  it('and does not get on is given up', async () => {
    await using t = await setUp();
    t.registry.script({ path }, x => x.reset());
    await assert.rejects(t.download(), { code: 'network', message: /broke off the connection/ });
    assert.ok(t.registries.pauses.length === 4, `${t.registries.pauses.length} pauses`);
  });

  it('early although it said that this was all is noticed', async () => {
    await using t = await setUp();
    t.registry.script({ path, times: 5 }, x => {
      x.response.writeHead(200);
      x.response.end(bytes.subarray(0, 1000));
    });
    await assert.rejects(t.download(), { code: 'network', message: /broke off after 1000 of 3000000 bytes/ });
  });
});

describe('RG-09: a blob that is not what it should be', () => {
  it('is refused when a byte differs', async () => {
    await using t = await setUp();
    const wrong = Buffer.from(bytes);
    wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1;
    t.registry.script({ path }, x => x.answer(200, {}, wrong));
    await assert.rejects(t.download(), { code: 'integrity', message: /other bytes than its digest says/ });
    assert.equal(t.registry.seen.length, 1, 'asking the same server again helps nobody');
    assert.equal(t.sink.bytes.length, 0, 'what was written is void');
  });

  it('is refused when it is longer than its size, as soon as that is known', async () => {
    await using t = await setUp();
    await assert.rejects(t.download({ size: 1000 }), {
      code: 'integrity',
      message: /should have 1000 bytes/,
    });
    let sent = 0;
    t.registry.script({ path }, x => {
      x.response.writeHead(200);
      const more = () => {
        while (!x.response.destroyed && sent < 1e9) {
          sent += 65_536;
          if (!x.response.write(Buffer.alloc(65_536))) return;
        }
      };
      x.response.on('drain', more);
      more();
    });
    await assert.rejects(t.download({ size: 1000 }), {
      code: 'integrity',
      message: /goes on after its 1000 bytes/,
    });
    assert.ok(sent < 1e8, `${sent} bytes were sent`);
  });

  it('is refused when it is shorter than its size', async () => {
    await using t = await setUp();
    await assert.rejects(t.download({ size: bytes.length + 1 }), {
      code: 'integrity',
      message: /should have 3000001 bytes/,
    });
  });

  it('is refused when it was packed for the transfer', async () => {
    await using t = await setUp();
    t.registry.script({ path }, x => x.answer(200, { 'content-encoding': 'gzip' }, gzipSync(bytes)));
    await assert.rejects(t.download(), { code: 'integrity', message: /packed as gzip/ });
    assert.equal(t.registry.seen[0]?.headers['accept-encoding'], 'identity');
  });
});

describe('a download', () => {
  it('that stalls is given up after the idle time, naming the host', async () => {
    await using t = await setUp({ idleTimeoutMs: 1000, retry: { attempts: 1 } });
    t.registry.script({ path }, x => {
      x.response.writeHead(200, { 'content-length': String(bytes.length) });
      x.response.write(bytes.subarray(0, 1000));
    });
    await assert.rejects(t.download(), {
      message: `${t.registry.host} cannot be reached: it stopped sending for 1 s`,
    });
  });

  it('ends when it is interrupted', async () => {
    await using t = await setUp();
    const stop = new AbortController();
    t.registry.script({ path }, x => {
      x.response.writeHead(200, { 'content-length': String(bytes.length) });
      x.response.write(bytes.subarray(0, 1000), () => setTimeout(() => stop.abort(new Error('enough')), 20));
    });
    await assert.rejects(t.download({}, stop.signal), { message: 'enough' });
  });

  it('is one of at most four from a host', async () => {
    await using t = await setUp();
    let open = 0;
    let most = 0;
    let fourAreOpen = () => {};
    const four = new Promise<void>(resolve => {
      fourAreOpen = resolve;
    });
    t.registry.script({ path }, async x => {
      open += 1;
      most = Math.max(most, open);
      if (open === 4) fourAreOpen();
      await four;
      await new Promise(resolve => setTimeout(resolve, 20));
      open -= 1;
      await x.honest();
    });
    const repository = { domain: t.registry.host, path: 'app' };
    await Promise.all(
      Array.from({ length: 12 }, () =>
        t.registries.download(repository, t.descriptor, new MemorySink(), never),
      ),
    );
    assert.equal(most, 4);
  });

  it('that finds no room here is not asked for elsewhere, and says that there is none', async () => {
    await using mirror = await new MemoryRegistry().start();
    await using t = await setUp();
    mirror.addBlob('cache/app', bytes);
    const conf = join(t.registries.home, 'etc/containers');
    mkdirSync(conf, { recursive: true });
    writeFileSync(
      join(conf, 'registries.conf'),
      `[[registry]]\nlocation = "${t.registry.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}/cache"\n`,
    );
    await using full = await open('/dev/full', 'w');
    const app = { domain: t.registry.host, path: 'app' };
    await assert.rejects(t.registries.download(app, t.descriptor, fileSink(full), never), {
      code: 'store',
      message: 'a blob cannot be written to the store: no space left on the device',
    });
    assert.deepEqual([mirror.log.length, t.registry.log.length], [1, 0]);
  });

  it('comes from a mirror first, and from the next place when the mirror is damaged', async () => {
    await using mirror = await new MemoryRegistry().start();
    await using t = await setUp();
    await using registries = testRegistries();
    const conf = join(registries.home, 'etc/containers');
    mkdirSync(conf, { recursive: true });
    writeFileSync(
      join(conf, 'registries.conf'),
      `[[registry]]\nlocation = "${t.registry.host}"\n[[registry.mirror]]\nlocation = "${mirror.host}/cache"\n`,
    );
    mirror.script({ path }, x => x.answer(200, {}, Buffer.alloc(bytes.length)));
    await registries.download({ domain: t.registry.host, path: 'app' }, t.descriptor, t.sink, never);
    assert.ok(t.sink.bytes.equals(bytes));
    assert.deepEqual(mirror.log, [`GET /v2/cache/app/blobs/${t.descriptor.digest}`]);
    assert.equal(t.registry.seen.length, 1);
  });
});
