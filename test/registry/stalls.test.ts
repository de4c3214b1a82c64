// Other sides that fall silent, in every phase of a pull and a push: each is given up with an error, none hangs, and no
// tag is set. A test that fails here by hanging is a failure of the same kind.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { openHttp } from '../../src/host/http.ts';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parseReference } from '../../src/image/reference.ts';
import { memoryBlob } from '../../src/registry/push.ts';
import { addImage, type Exchange, MemoryRegistry, type Rule } from '../support/memory-registry.ts';
import { amd64, MemorySink, never, testRegistries } from '../support/registries.ts';

/** Long enough for an honest answer on a busy machine. */
const idleTimeoutMs = 1500;
const impatient = { idleTimeoutMs, retry: { attempts: 1 } };
const silence = () => {};

async function pull(registry: MemoryRegistry): Promise<void> {
  await using registries = testRegistries(impatient);
  const image = await registries.resolve(parseReference(`${registry.host}/app:1`), amd64, never);
  const [layer] = image.manifest.layers;
  assert.ok(layer);
  await registries.download(image.reference, layer, new MemorySink(), never);
}

async function push(
  registry: MemoryRegistry,
  bytes: Buffer,
  mountFrom: readonly string[] = [],
): Promise<void> {
  await using registries = testRegistries(impatient);
  const descriptor = { mediaType: mediaTypes.ociLayerTar, digest: digestOf(bytes), size: bytes.length };
  await registries.push(
    {
      references: [parseReference(`${registry.host}/app:1`)],
      documents: [{ mediaType: mediaTypes.ociManifest, bytes: Buffer.from('{"schemaVersion":2}') }],
      blobs: [{ ...memoryBlob(descriptor, bytes), mountFrom }],
    },
    never,
  );
}

const gaveUp = {
  code: 'network',
  message: /stopped answering for|stopped sending for/,
};

async function drainFirst(x: Exchange): Promise<void> {
  await x.body();
}

describe('a pull is given up when the registry falls silent', { concurrency: true }, () => {
  const halfway = (x: Exchange) => {
    x.response.writeHead(200, { 'content-length': '100' });
    x.response.write('x');
  };
  const phases: readonly (readonly [string, Rule, (x: Exchange) => void])[] = [
    ['before the manifest', { path: /manifests/ }, silence],
    ['in the manifest', { path: /manifests/ }, halfway],
    ['before the config', { path: /blobs/, times: 1 }, silence],
    ['in the config', { path: /blobs/, times: 1 }, halfway],
    ['before a layer', { path: /blobs/ }, x => (x.seen.url === layerUrl ? undefined : void x.honest())],
    ['in a layer', { path: /blobs/ }, x => (x.seen.url === layerUrl ? void half(x) : void x.honest())],
  ];
  const layer = 'a layer of some bytes';
  const layerUrl = `/v2/app/blobs/${digestOf(layer)}`;
  const half = (x: Exchange) => {
    x.response.writeHead(200, { 'content-length': String(layer.length) });
    x.response.write(layer.slice(0, 5));
  };
  for (const [phase, rule, handle] of phases) {
    it(phase, async () => {
      await using registry = await new MemoryRegistry().start();
      addImage(registry, 'app', '1', { layers: [layer] });
      registry.script(rule, handle);
      await assert.rejects(pull(registry), gaveUp);
    });
  }

  it('before or in a token', async () => {
    for (const answer of [silence, halfway]) {
      await using registry = await new MemoryRegistry().start();
      await using tokens = await new MemoryRegistry().start();
      registry.script({}, x =>
        x.answer(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/token",service="x"` }),
      );
      tokens.script({}, answer);
      await assert.rejects(pull(registry), gaveUp);
      assert.equal(tokens.seen.length, 1);
    }
  });
});

describe('a push is given up when the registry falls silent, without a tag', { concurrency: true }, () => {
  const large = randomBytes(3_000_000);
  const small = randomBytes(1000);
  const uploads = /\/blobs\/uploads\//;
  const phases: readonly (readonly [string, Rule, (x: Exchange) => void | Promise<void>, Buffer?])[] = [
    ['when asked whether it has the blob', { method: 'HEAD' }, silence],
    ['when an upload is begun', { method: 'POST' }, silence],
    ['before it reads the blob', { method: 'PATCH' }, silence, randomBytes(40_000_000)],
    ['after it has read the blob', { method: 'PATCH' }, drainFirst],
    ['when the upload is closed', { method: 'PUT', path: uploads }, drainFirst],
    ['in place of a small blob’s receipt', { method: 'PUT', path: uploads }, drainFirst, small],
    ['before the manifest', { method: 'PUT', path: /manifests/ }, silence],
    ['after it has read the manifest', { method: 'PUT', path: /manifests/ }, drainFirst],
  ];
  for (const [phase, rule, handle, bytes = large] of phases) {
    it(phase, async () => {
      await using registry = await new MemoryRegistry().start();
      registry.script(rule, handle);
      await assert.rejects(push(registry, bytes), gaveUp);
      assert.equal(registry.manifests.size, 0);
      assert.equal(registry.log.at(-1)?.split(' ')[0], rule.method, 'it came to this phase and no further');
    });
  }

  it('when asked to mount', async () => {
    await using registry = await new MemoryRegistry().start();
    registry.script({ method: 'POST' }, silence);
    await assert.rejects(push(registry, small, ['base']), gaveUp);
    assert.match(registry.seen.at(-1)?.url ?? '', /from=base/);
  });

  it('when asked where a broken upload stands', async () => {
    await using registry = await new MemoryRegistry().start();
    registry.script({ method: 'PATCH', times: 1 }, x => x.reset());
    registry.script({ method: 'GET', path: uploads }, silence);
    await using registries = testRegistries({ idleTimeoutMs, retry: { attempts: 2 } });
    const descriptor = { mediaType: mediaTypes.ociLayerTar, digest: digestOf(large), size: large.length };
    const request = {
      references: [parseReference(`${registry.host}/app:1`)],
      documents: [{ mediaType: mediaTypes.ociManifest, bytes: Buffer.from('{}') }],
      blobs: [memoryBlob(descriptor, large)],
    };
    await assert.rejects(registries.push(request, never), gaveUp);
    assert.equal(registry.manifests.size, 0);
  });
});

describe('a host is given up', { concurrency: true }, () => {
  const connectTimeoutMs = 500;

  it('whose name is never looked up', async () => {
    const http = openHttp({ env: {}, connectTimeoutMs, lookup: silence });
    await using registries = testRegistries({ http, retry: { attempts: 1 } });
    await assert.rejects(registries.resolve(parseReference('registry.test/app'), amd64, never), {
      code: 'network',
      message: 'registry.test cannot be reached: it does not answer',
      hint: 'check the name of the registry, the network and the proxy settings',
    });
  });

  it('whose name cannot be looked up at the moment, after further attempts', async () => {
    let asked = 0;
    const http = openHttp({
      env: {},
      lookup: (_name, _options, done) => {
        asked += 1;
        done(Object.assign(new Error('later'), { code: 'EAI_AGAIN' }), '', 4);
      },
    });
    await using registries = testRegistries({ http });
    await assert.rejects(registries.resolve(parseReference('registry.test/app'), amd64, never), {
      code: 'network',
      message: 'registry.test cannot be reached: its name cannot be looked up at the moment',
    });
    assert.equal(asked, 5);
  });

  it('that takes the connection and says nothing to a TLS greeting', async () => {
    const mute = createServer(socket => socket.on('error', silence).resume());
    await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve));
    const port = (mute.address() as AddressInfo).port;
    try {
      await using registries = testRegistries({ connectTimeoutMs, retry: { attempts: 1 } });
      const reference = parseReference(`127.0.0.1:${port}/app`);
      await assert.rejects(registries.resolve(reference, amd64, never), {
        code: 'network',
        message: `127.0.0.1:${port} cannot be reached: it does not answer`,
      });
    } finally {
      mute.close();
    }
  });
});
