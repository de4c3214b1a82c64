// What counts as a signature of an image, and what a registry or somebody who may write to it cannot pass off as one.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseReference } from '../../src/image/reference.ts';
import type { Annotations } from '../../src/signing/claims.ts';
import { readVerifyingKey } from '../../src/signing/keys.ts';
import { verifyImage } from '../../src/signing/verify.ts';
import { addImage, MemoryRegistry, ociIndex, ociManifest } from '../support/memory-registry.ts';
import { never, testRegistries } from '../support/registries.ts';
import { repoRoot } from '../support/repo.ts';

const recorded = (name: string) => readFileSync(join(repoRoot, 'test/corpus/cosign', name));
const layerType = 'application/vnd.dev.cosign.simplesigning.v1+json';
const annotation = 'dev.cosignproject.cosign/signature';

const mine = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = mine.publicKey.export({ type: 'spki', format: 'pem' }).toString();

interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Record<string, string>;
}

async function setUp() {
  const registry = await new MemoryRegistry().start();
  const registries = testRegistries();
  const image = addImage(registry, 'app', '1');
  const layer = (text: string, key: KeyObject = mine.privateKey): Layer => ({
    mediaType: layerType,
    ...registry.addBlob('app', text),
    annotations: { [annotation]: sign('sha256', Buffer.from(text), key).toString('base64') },
  });
  return {
    registry,
    image,
    layer,
    /** Puts the layers where the image's signatures are. */
    store(...layers: readonly Layer[]) {
      registry.addManifest('app', tagOf(image.digest), ociManifest, signatures(layers));
    },
    verify: (annotations: Annotations = {}, key = pem, name = 'app:1') =>
      verifyImage(
        {
          reference: parseReference(`${registry.host}/${name}`),
          key: readVerifyingKey(key, 'key'),
          annotations,
        },
        registries,
        never,
      ),
    async [Symbol.asyncDispose]() {
      await registries[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

function tagOf(digest: string): string {
  return `${digest.replace(':', '-')}.sig`;
}

function signatures(layers: readonly Layer[]): Record<string, unknown> {
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: `sha256:${'0'.repeat(64)}`,
    size: 2,
  };
  return { schemaVersion: 2, mediaType: ociManifest, config, layers };
}

function statement(digest: string, change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    critical: {
      identity: { 'docker-reference': 'registry.test/app' },
      image: { 'docker-manifest-digest': digest },
      type: 'cosign container image signature',
      ...change,
    },
    optional: { team: 'blue' },
  });
}

describe('signatures', () => {
  it('made by cosign count', async () => {
    await using at = await setUp();
    const { digest } = at.registry.addManifest('cosigned', '1', ociManifest, recorded('image.json'));
    at.registry.addManifest('cosigned', tagOf(digest), ociManifest, recorded('signatures.json'));
    at.registry.addBlob('cosigned', recorded('payload.json'));
    const key = recorded('cosign.pub').toString();
    const verified = await at.verify({ team: 'blue', note: 'a<b&c' }, key, 'cosigned:1');
    assert.equal(verified.digest, digest);
    assert.equal(verified.claims.length, 1);
    assert.equal(
      verified.claims[0]?.critical.identity['docker-reference'],
      '127.0.0.1:5000/signtest/fixture',
    );
    await assert.rejects(at.verify({ team: 'red' }, key, 'cosigned:1'), /does not say team=red/);
    await assert.rejects(at.verify({}, pem, 'cosigned:1'), {
      code: 'integrity',
      message: /not made with this key/,
    });
  });

  it('are missing, which is said', async () => {
    await using at = await setUp();
    await assert.rejects(at.verify(), { code: 'not-found', message: /app:1@sha256:\w+ is not signed/ });
    at.store();
    await assert.rejects(at.verify(), { code: 'not-found', message: /is not signed/ });
    await assert.rejects(at.verify({}, pem, 'app:2'), { code: 'not-found', message: /has no tag 2/ });
  });

  it('of another image do not count where they were copied to', async () => {
    await using at = await setUp();
    const another = addImage(at.registry, 'app', '2', { layers: ['something else'] });
    at.store(at.layer(statement(another.digest)));
    await assert.rejects(at.verify(), {
      code: 'integrity',
      message: new RegExp(`of another image, ${another.digest}`),
    });
  });

  it('count by the digest that was asked for, whatever a tag or a header says', async () => {
    await using at = await setUp();
    at.store(at.layer(statement(at.image.digest)));
    const evil = addImage(at.registry, 'app', 'evil', { layers: ['evil'] });
    at.registry.script({ path: /manifests\/sha256:/ }, exchange => {
      const found = at.registry.manifests.get(`app@${evil.digest}`);
      exchange.answer(
        200,
        { 'content-type': ociManifest, 'docker-content-digest': at.image.digest },
        found?.bytes ?? '',
      );
    });
    const verified = await at.verify({}, pem, `app@${evil.digest}`).catch(error => error);
    assert.match(verified.message, /is not signed/);
  });

  it('that cannot be used are passed over, and one that can is enough', async () => {
    await using at = await setUp();
    const good = statement(at.image.digest);
    const layer = at.layer(good);
    const signature = layer.annotations?.[annotation] ?? '';
    const damaged = at.layer(`${good} `);
    at.registry.blobs.set(damaged.digest, Buffer.from(`${good}\n`));
    const bad: [Layer, RegExp][] = [
      [{ ...layer, mediaType: 'text/plain' }, /of another form/],
      [{ ...layer, annotations: {} }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: '' } }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: `${signature}!` } }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: `${signature} ` } }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: `!!!!${signature}` } }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: 'A'.repeat(8192) } }, /no signature in base64/],
      [{ ...layer, annotations: { [annotation]: 'AAAA' } }, /not made with this key/],
      [{ ...layer, size: 70_000 }, /70000 bytes; more than 65536 are not read/],
      [{ ...layer, digest: `sha256:${'1'.repeat(64)}` }, /not there, or damaged/],
      [damaged, /not there, or damaged/],
      [at.layer(good, other.privateKey), /not made with this key/],
      [at.layer('no JSON'), /not JSON/],
      [at.layer('null'), /not a statement about an image/],
      [at.layer('[]'), /not a statement about an image/],
      [at.layer('{"critical":{"image":[]}}'), /not a statement about an image/],
      [at.layer(statement(at.image.digest, { identity: null })), /not a statement about an image/],
      [at.layer(statement(at.image.digest, { image: { 'docker-manifest-digest': 1 } })), /not a statement/],
      [at.layer(good.replace('{"team":"blue"}', '"blue"')), /not a statement about an image/],
      [
        at.layer(statement(at.image.digest, { type: 'atomic container signature' })),
        /another kind of statement/,
      ],
      [at.layer(statement(at.image.digest.toUpperCase())), /of another image/],
      [at.layer(statement('sha256:\u001b[2J')), /of another image, sha256:\\u001b\[2J/],
    ];
    for (const [each, reason] of bad) {
      at.store(each);
      await assert.rejects(at.verify(), { code: 'integrity', message: reason });
    }
    at.store(...bad.map(([each]) => each));
    await assert.rejects(at.verify(), /; and others$/);
    at.store(...bad.map(([each]) => each), layer);
    assert.equal((await at.verify()).claims.length, 1);
  });

  it('say nothing that they inherit', async () => {
    await using at = await setUp();
    at.store(at.layer(statement(at.image.digest)));
    await assert.rejects(at.verify({ constructor: 'x' }), /does not say constructor=x/);
    await assert.rejects(at.verify({ team: '' }), /does not say team=/);
  });

  it('in a document that no signer writes are refused', async () => {
    await using at = await setUp();
    const layer = at.layer(statement(at.image.digest));
    const tag = tagOf(at.image.digest);
    at.store(...Array.from({ length: 1001 }, () => layer));
    await assert.rejects(at.verify(), { code: 'hostile', message: /1001 signatures; more than 1000/ });
    at.registry.addManifest('app', tag, ociManifest, {
      ...signatures([layer]),
      annotations: { filler: 'x'.repeat(4 * 1024 * 1024) },
    });
    await assert.rejects(at.verify(), /larger than 4194304 bytes/);
    at.registry.addManifest('app', tag, ociIndex, { schemaVersion: 2, mediaType: ociIndex, manifests: [] });
    await assert.rejects(at.verify(), { code: 'unsupported', message: /not signatures/ });
    at.registry.addManifest('app', tag, ociManifest, 'no JSON');
    await assert.rejects(at.verify(), { code: 'integrity' });
  });
});

const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const payloadType = 'application/vnd.in-toto+json';

interface Bundle {
  readonly payloadType?: string;
  readonly text: string;
  readonly key?: KeyObject;
  readonly signatures?: unknown;
}

function bundle({
  payloadType: type = payloadType,
  text,
  key = mine.privateKey,
  signatures: list,
}: Bundle): string {
  const payload = Buffer.from(text);
  const signed = Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} ${payload}`);
  const sig = sign('sha256', signed, key).toString('base64');
  return JSON.stringify({
    mediaType: bundleType,
    dsseEnvelope: { payload: payload.toString('base64'), payloadType: type, signatures: list ?? [{ sig }] },
  });
}

function inToto(digest: string, change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: digest.slice('sha256:'.length) }, annotations: { team: 'blue' } }],
    predicateType: 'https://sigstore.dev/cosign/sign/v1',
    predicate: {},
    ...change,
  });
}

/** Lists documents as what refers to an image, in the way of registries without the API. */
function refer(
  registry: MemoryRegistry,
  repository: string,
  digest: string,
  entries: readonly unknown[],
): void {
  const list = { schemaVersion: 2, mediaType: ociIndex, manifests: entries };
  registry.addManifest(repository, digest.replace(':', '-'), ociIndex, list);
}

function addBundle(
  registry: MemoryRegistry,
  text: string,
): { mediaType: string; digest: string; size: number } {
  const layers = [{ mediaType: bundleType, ...registry.addBlob('app', text) }];
  const manifest = registry.addManifest('app', undefined, ociManifest, signatures(layers));
  return { mediaType: ociManifest, ...manifest };
}

describe('bundles', () => {
  it('made by cosign count', async () => {
    await using at = await setUp();
    const { digest } = at.registry.addManifest('cosigned', '1', ociManifest, recorded('image.json'));
    const manifest = at.registry.addManifest(
      'cosigned',
      undefined,
      ociManifest,
      recorded('bundle-manifest.json'),
    );
    at.registry.addBlob('cosigned', recorded('bundle.json'));
    const entry = { mediaType: ociManifest, ...manifest, artifactType: 'application/vnd.oci.empty.v1+json' };
    refer(at.registry, 'cosigned', digest, [entry]);
    const key = recorded('cosign.pub').toString();
    const { claims } = await at.verify({ team: 'blue' }, key, 'cosigned:1');
    assert.deepEqual(claims, [
      {
        critical: {
          identity: { 'docker-reference': `${at.registry.host}/cosigned` },
          image: { 'docker-manifest-digest': digest },
          type: 'https://sigstore.dev/cosign/sign/v1',
        },
        optional: { team: 'blue' },
      },
    ]);
    await assert.rejects(at.verify({ team: 'red' }, key, 'cosigned:1'), /does not say team=red/);
    await assert.rejects(at.verify({}, pem, 'cosigned:1'), /not made with this key/);
    const another = addImage(at.registry, 'cosigned', '2');
    refer(at.registry, 'cosigned', another.digest, [entry]);
    await assert.rejects(at.verify({}, key, 'cosigned:2'), new RegExp(`of another image, ${digest}`));
  });

  it('that cannot be used are passed over, and one that can is enough', async () => {
    await using at = await setUp();
    const { digest } = at.image;
    const good = bundle({ text: inToto(digest) });
    const bad: [string, RegExp][] = [
      ['no JSON', /of another form/],
      ['{"messageSignature":{}}', /of another form/],
      [bundle({ text: inToto(digest), payloadType: 'text/plain' }), /of another form/],
      [bundle({ text: inToto(digest), signatures: 'x' }), /of another form/],
      [bundle({ text: inToto(digest), signatures: [] }), /no signature in base64/],
      [bundle({ text: inToto(digest), signatures: [null, { sig: 1 }] }), /no signature in base64/],
      [bundle({ text: inToto(digest), key: other.privateKey }), /not made with this key/],
      [bundle({ text: statement(digest) }), /another kind of statement/],
      [bundle({ text: inToto(digest, { predicateType: 'https://slsa.dev/provenance/v1' }) }), /another kind/],
      [bundle({ text: inToto(digest, { subject: [] }) }), /not a statement about an image/],
      [bundle({ text: inToto(`sha256:${'2'.repeat(64)}`) }), /of another image, sha256:22/],
      [good.padEnd(300_000), /300000 bytes; more than/],
    ];
    for (const [text, reason] of bad) {
      refer(at.registry, 'app', digest, [addBundle(at.registry, text)]);
      await assert.rejects(at.verify(), { code: 'integrity', message: reason });
    }
    const gone = { mediaType: ociManifest, digest: `sha256:${'3'.repeat(64)}`, size: 3 };
    refer(at.registry, 'app', digest, [gone]);
    await assert.rejects(at.verify(), /is not signed/);
    const all = [...bad.map(([text]) => text), good].map(text => addBundle(at.registry, text));
    refer(at.registry, 'app', digest, [gone, ...all]);
    assert.equal((await at.verify({ team: 'blue' })).claims.length, 1);
    const many = Array.from({ length: 1001 }, () => gone);
    refer(at.registry, 'app', digest, many);
    await assert.rejects(at.verify(), { code: 'hostile', message: /1001 signatures/ });
  });
});
