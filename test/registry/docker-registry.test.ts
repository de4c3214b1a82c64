// Push and pull against a real docker-registry: open, with TLS and htpasswd, and with signed tokens.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { digestOf } from '../../src/image/digest.ts';
import { encodeManifest, type Index, type Manifest } from '../../src/image/manifest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { parsePlatform } from '../../src/image/platform.ts';
import { parseReference } from '../../src/image/reference.ts';
import { memoryBlob, type PushRequest } from '../../src/registry/push.ts';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { amd64, MemorySink, never, testRegistries } from '../support/registries.ts';
import { type Authority, makeAuthority } from '../support/tls.ts';
import { startTokenServer } from '../support/token-server.ts';

interface Made {
  readonly request: Omit<PushRequest, 'references'>;
  readonly manifest: Descriptor;
  readonly layers: readonly Buffer[];
}

/** An image with layers of the given sizes. */
function makeImage(sizes: readonly number[], architecture = 'amd64'): Made {
  const layers = sizes.map(size => randomBytes(size));
  const describe = (bytes: Buffer, mediaType: string): Descriptor => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const layerDescriptors = layers.map(bytes => describe(bytes, mediaTypes.ociLayerTar));
  const config = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture,
      rootfs: { type: 'layers', diff_ids: layerDescriptors.map(d => d.digest) },
    }),
  );
  const manifest: Manifest = {
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: describe(config, mediaTypes.ociConfig),
    layers: layerDescriptors,
    annotations: {},
  };
  const bytes = Buffer.from(encodeManifest(manifest));
  const blobs = [memoryBlob(manifest.config, config)];
  for (const [i, descriptor] of layerDescriptors.entries())
    blobs.push(memoryBlob(descriptor, layers[i] ?? Buffer.alloc(0)));
  return {
    request: { documents: [{ mediaType: manifest.mediaType, bytes }], blobs },
    manifest: describe(bytes, manifest.mediaType),
    layers,
  };
}

describe('a plain registry on this machine', () => {
  let registry: RunningRegistry;
  before(async () => {
    registry = await startDockerRegistry();
  });
  after(() => registry[Symbol.asyncDispose]());

  it('gives back byte for byte what was pushed, small layers and large ones', async () => {
    await using registries = testRegistries();
    const image = makeImage([10, 0, 3_000_000]);
    const reference = parseReference(`${registry.host}/team/app:1`);
    const pushed = await registries.push({ ...image.request, references: [reference] }, never);
    assert.deepEqual(pushed, [{ reference, digest: image.manifest.digest }]);
    const found = await registries.resolve(reference, amd64, never);
    assert.equal(found.descriptor.digest, image.manifest.digest);
    assert.equal(found.repository, `${registry.host}/team/app`);
    for (const [i, layer] of found.manifest.layers.entries()) {
      const sink = new MemorySink();
      await registries.download(reference, layer, sink, never);
      assert.deepEqual(sink.bytes, image.layers[i]);
    }
  });

  it('sends nothing again that is there, and mounts what another repository has', async () => {
    await using registries = testRegistries();
    const image = makeImage([2_000_000]);
    const deliveries: string[] = [];
    const push = (name: string, mountFrom: readonly string[] = []) =>
      registries.push(
        {
          documents: image.request.documents,
          blobs: image.request.blobs.map(blob => ({ ...blob, mountFrom })),
          references: [parseReference(`${registry.host}/${name}`)],
          onDelivered: (_digest, repository, how) =>
            deliveries.push(`${repository.split('/').at(-1)} ${how}`),
        },
        never,
      );
    await push('first:1');
    await push('first:2');
    await push('second:1', ['first']);
    assert.deepEqual(deliveries, [
      ...['first sent', 'first sent', 'first present', 'first present', 'second mounted', 'second mounted'],
    ]);
    const tags = await registries.listTags({ domain: registry.host, path: 'first' }, never);
    assert.deepEqual([...tags].sort(), ['1', '2']);
    const all = await registries.listRepositories(registry.host, never);
    assert.ok(all.includes('first') && all.includes('second'));
  });

  it('stores an index after its images and resolves it for each platform', async () => {
    await using registries = testRegistries();
    const [one, two] = [makeImage([5]), makeImage([6], 'arm64')];
    const index: Index = {
      kind: 'index',
      mediaType: mediaTypes.ociIndex,
      manifests: [
        { ...one.manifest, platform: parsePlatform('linux/amd64') },
        { ...two.manifest, platform: parsePlatform('linux/arm64') },
      ],
      annotations: {},
    };
    const reference = parseReference(`${registry.host}/multi:latest`);
    await registries.push(
      {
        references: [reference],
        blobs: [...one.request.blobs, ...two.request.blobs],
        documents: [
          ...one.request.documents,
          ...two.request.documents,
          { mediaType: index.mediaType, bytes: Buffer.from(encodeManifest(index)) },
        ],
      },
      never,
    );
    const arm = await registries.resolve(reference, parsePlatform('linux/arm64/v8'), never);
    assert.equal(arm.descriptor.digest, two.manifest.digest);
    assert.equal(arm.config.platform.architecture, 'arm64');
    assert.equal(arm.top.mediaType, mediaTypes.ociIndex);
    await assert.rejects(
      registries.resolve(reference, parsePlatform('linux/s390x'), never),
      (error: unknown) => {
        assert.ok(error instanceof BuildError);
        assert.equal(error.code, 'not-found');
        assert.match(error.message, /no image for linux\/s390x/);
        assert.equal(error.hint, 'it has linux/amd64, linux/arm64');
        return true;
      },
    );
  });

  it('says which tag is missing', async () => {
    await using registries = testRegistries();
    const asked = registries.resolve(parseReference(`${registry.host}/nothing:here`), amd64, never);
    await assert.rejects(asked, { code: 'not-found', message: /\/nothing has no tag here/ });
  });
});

describe('a registry with TLS and passwords', () => {
  let dir: string;
  let authority: Authority;
  let registry: RunningRegistry;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'slipway-tls-'));
    authority = makeAuthority(dir);
    const tls = authority.issue('registry', ['IP:127.0.0.1', 'DNS:localhost']);
    registry = await startDockerRegistry({ tls, htpasswd: { username: 'ada', password: 'p:w' } });
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  });

  /** A home with the authority in certs.d and perhaps a login. */
  function home(auth?: string, certs = 'etc/containers/certs.d'): string {
    const path = mkdtempSync(join(dir, 'home-'));
    const place = join(path, certs, registry.host);
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'ca.crt'), authority.pem);
    if (auth === undefined) return path;
    mkdirSync(join(path, '.docker'));
    const auths = { [registry.host]: { auth: Buffer.from(auth).toString('base64') } };
    writeFileSync(join(path, '.docker', 'config.json'), JSON.stringify({ auths }));
    return path;
  }

  for (const certs of ['etc/containers/certs.d', 'etc/docker/certs.d', '.config/containers/certs.d']) {
    it(`pushes and pulls with the authority from ${certs} and docker's login`, async () => {
      await using registries = testRegistries({ home: home('ada:p:w', certs) });
      const image = makeImage([1_500_000]);
      const reference = parseReference(`${registry.host}/secret:1`);
      await registries.push({ ...image.request, references: [reference] }, never);
      const found = await registries.resolve(reference, amd64, never);
      assert.equal(found.descriptor.digest, image.manifest.digest);
    });
  }

  it('refuses an unknown authority and tells where its certificate belongs', async () => {
    await using registries = testRegistries();
    await assert.rejects(registries.resolve(parseReference(`${registry.host}/secret:1`), amd64, never), {
      code: 'network',
      message: new RegExp(`connection to ${registry.host} is not trusted: .*authority`),
      hint: new RegExp(`certs\\.d/${registry.host}`),
    });
  });

  it('takes any certificate when told not to verify', async () => {
    await using registries = testRegistries({ insecure: true, login: { username: 'ada', password: 'p:w' } });
    assert.deepEqual((await registries.listRepositories(registry.host, never)).includes('secret'), true);
  });

  it('says how to log in when nobody is, and when the password is wrong', async () => {
    await using nobody = testRegistries({ home: home() });
    const reference = parseReference(`${registry.host}/secret:1`);
    await assert.rejects(nobody.resolve(reference, amd64, never), {
      code: 'auth',
      hint: `log in first: slipway login ${registry.host}`,
    });
    await using wrong = testRegistries({ home: home('ada:wrong') });
    await assert.rejects(wrong.resolve(reference, amd64, never), {
      code: 'auth',
      message: /refuses the user name or password/,
      hint: `log in again: slipway login ${registry.host}`,
    });
    await wrong.checkLogin(registry.host, 'ada', 'p:w', never);
    await assert.rejects(wrong.checkLogin(registry.host, 'ada', 'no', never), { code: 'auth' });
  });
});

describe('a registry with a token server', () => {
  const account = { username: 'ada', password: 'secret', identityToken: 'refresh-me' };
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'slipway-token-'));
  });
  after(() => rmSync(dir, { recursive: true }));

  async function start(authority: Authority) {
    const signer = authority.issue('signer', ['DNS:signer']);
    const allows = (repository: string, action: string) => !(repository === 'readonly' && action === 'push');
    const tokens = await startTokenServer({
      signer,
      service: 'test',
      issuer: 'test-issuer',
      ...account,
      allows,
    });
    const token = {
      realm: tokens.realm,
      service: 'test',
      issuer: 'test-issuer',
      rootCertFile: authority.certFile,
    };
    const registry = await startDockerRegistry({ token });
    const stop = async () => {
      await tokens[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    };
    return { tokens, registry, [Symbol.asyncDispose]: stop };
  }

  it('works with a password by GET and with an identity token by POST', async () => {
    await using servers = await start(makeAuthority(join(dir, 'a')));
    const { tokens, registry } = servers;
    const image = makeImage([100]);
    const reference = parseReference(`${registry.host}/app:1`);
    {
      await using registries = testRegistries({ login: account });
      await registries.push({ ...image.request, references: [reference] }, never);
      await registries.resolve(reference, amd64, never);
    }
    assert.deepEqual(
      tokens.seen.map(({ method, grant, scopes }) => [method, grant, scopes.join()]),
      [
        ['GET', 'basic', 'repository:app:pull,push'],
        ['GET', 'basic', 'repository:app:pull'],
      ],
      'one token for all requests of a kind',
    );
    const home = mkdtempSync(join(dir, 'home-'));
    mkdirSync(join(home, '.docker'));
    const auths = { [registry.host]: { auth: 'Og==', identitytoken: account.identityToken } };
    writeFileSync(join(home, '.docker/config.json'), JSON.stringify({ auths }));
    await using registries = testRegistries({ home });
    await registries.resolve(reference, amd64, never);
    assert.deepEqual(tokens.seen.at(-1), {
      method: 'POST',
      grant: 'refresh',
      scopes: ['repository:app:pull'],
    });
  });

  it('names scope, repository and the login command when a push is denied', async () => {
    await using servers = await start(makeAuthority(join(dir, 'b')));
    const { registry } = servers;
    await using registries = testRegistries({ login: account });
    const references = [parseReference(`${registry.host}/readonly:1`)];
    await assert.rejects(
      registries.push({ ...makeImage([10]).request, references }, never),
      (error: unknown) => {
        assert.ok(error instanceof BuildError);
        assert.equal(error.code, 'auth');
        assert.match(error.message, /repository:readonly:pull,push/);
        assert.match(error.hint ?? '', new RegExp(`slipway login ${registry.host}`));
        return true;
      },
    );
  });
});
