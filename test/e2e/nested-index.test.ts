// An index may name the same index many times, and that one again: few bytes, and more ways through them than anybody
// can walk. Every command goes through each document once. Without that, each of these runs for years.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { tarBytes } from '../support/layer-tar.ts';
import { MemoryRegistry, ociIndex, ociManifest, sha256 } from '../support/memory-registry.ts';
import { type Program, program } from '../support/program.ts';

const width = 1000;
const depth = 4;
const platform = { os: 'linux', architecture: 'amd64' };

interface Document {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** Manifests and indexes, the outermost last, and the blobs of the image within. */
function wide(): { readonly documents: readonly Document[]; readonly blobs: readonly Buffer[] } {
  const layer = tarBytes({ path: 'file', text: 'content' });
  const config = Buffer.from(
    JSON.stringify({ ...platform, rootfs: { type: 'layers', diff_ids: [sha256(layer)] } }),
  );
  const inner = {
    config: described('application/vnd.oci.image.config.v1+json', config),
    layers: [described('application/vnd.oci.image.layer.v1.tar', layer)],
  };
  const documents = [document(ociManifest, inner)];
  for (let i = 0; i < depth; i++) {
    const { mediaType, bytes } = documents.at(-1) ?? assert.fail();
    const entry = { ...described(mediaType, bytes), platform };
    documents.push(document(ociIndex, { manifests: Array.from({ length: width }, () => entry) }));
  }
  return { documents, blobs: [config, layer] };
}

const described = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
});

function document(mediaType: string, content: object): Document {
  return { mediaType, bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...content })) };
}

const { documents, blobs } = wide();
const top = documents.at(-1) ?? assert.fail();

function archive(path: string): void {
  const named = {
    ...described(top.mediaType, top.bytes),
    annotations: { 'org.opencontainers.image.ref.name': 'wide:1' },
  };
  const parts = [...documents.map(({ bytes }) => bytes), ...blobs];
  const files = [
    { path: 'oci-layout', text: '{"imageLayoutVersion":"1.0.0"}' },
    { path: 'index.json', text: JSON.stringify({ schemaVersion: 2, manifests: [named] }) },
    ...parts.map(each => ({ path: `blobs/sha256/${sha256(each).slice(7)}`, text: each.toString('latin1') })),
  ];
  writeFileSync(path, tarBytes(...files));
}

describe('an image with more ways through it than documents', () => {
  let slipway: Program;
  before(() => {
    slipway = program();
    archive(join(slipway.dir, 'wide.tar'));
  });

  after(() => slipway[Symbol.dispose]());

  it('is loaded, listed, verified, copied and saved', async () => {
    await slipway.must(['load', '-i', join(slipway.dir, 'wide.tar')]);
    assert.match((await slipway.must(['images'])).stdout, /wide/);
    assert.match((await slipway.must(['system', 'verify'])).stdout, /all as they should be/);
    await slipway.must(['image', 'copy', '-a', 'wide:1', `oci:${join(slipway.dir, 'layout')}`]);
    await slipway.must(['save', '-o', join(slipway.dir, 'saved.tar'), 'wide:1']);
  });

  it('is pushed and fetched with one request for each document', async () => {
    await using registry = await new MemoryRegistry().start();
    for (const [i, { mediaType, bytes }] of documents.entries()) {
      registry.addManifest('app', i === depth ? 'wide' : undefined, mediaType, bytes);
    }
    for (const blob of blobs) registry.addBlob('app', blob);
    using other = program();
    await other.must([
      'image',
      'copy',
      '-a',
      `docker://${registry.host}/app:wide`,
      `oci:${join(other.dir, 'layout')}`,
    ]);
    const fetched = registry.log.filter(line => line.startsWith('GET /v2/app/manifests/'));
    assert.ok(fetched.length <= 2 * documents.length, fetched.join('\n'));
    await other.must(['load', '-i', join(slipway.dir, 'wide.tar')]);
    await other.must(['tag', 'wide:1', `${registry.host}/new:1`]);
    await other.must(['push', `${registry.host}/new:1`]);
    const sent = registry.log.filter(line => line.startsWith('PUT /v2/new/manifests/'));
    assert.equal(sent.length, documents.length);
  });
});
