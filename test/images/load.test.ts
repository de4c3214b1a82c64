// Archives that are not what they should be: one clear error each, and no name changes.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { openDestination } from '../../src/export/destination.ts';
import { hostPlatform } from '../../src/image/platform.ts';
import { listLocalImages, tagsOf } from '../../src/images/catalog.ts';
import { copyImage } from '../../src/images/copy.ts';
import { importImage } from '../../src/images/import.ts';
import { loadFile } from '../../src/images/load.ts';
import { type ImageBench, withImages } from './store-images.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const config = JSON.stringify({
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [] },
});

/** A directory with these files, which is a layout or none. */
function write(bench: ImageBench, files: Readonly<Record<string, string>>): string {
  const dir = join(
    bench.dir,
    `files-${Object.keys(files).length}-${sha256(JSON.stringify(files)).slice(0, 8)}`,
  );
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

function saved(name: string | null, more: Record<string, unknown> = {}): Record<string, string> {
  const entry = {
    Config: `${sha256(config)}.json`,
    RepoTags: name === null ? null : [name],
    Layers: [],
    ...more,
  };
  return { 'manifest.json': JSON.stringify([entry]), [`${sha256(config)}.json`]: config };
}

test('names are taken over, and what has none is kept without one', () =>
  withImages(async bench => {
    const load = (files: Record<string, string>) =>
      loadFile({ path: write(bench, files), kind: 'directory' }, bench.tools);
    assert.deepEqual(
      (await load(saved('app:1'))).map(({ names }) => names),
      [['app:1']],
    );
    assert.equal(bench.store.names.list()[0]?.from, 'file');
    assert.deepEqual(
      (await load(saved(null))).map(({ names }) => names),
      [[]],
    );
    assert.deepEqual((await listLocalImages(bench.store)).map(tagsOf), [['app:1']]); // it is the same image
  }));

test('archives that cannot be used change nothing', () =>
  withImages(async bench => {
    await bench.store.names.set('docker.io/library/app:1', await bench.image({ layers: ['mine'] }));
    const before = bench.store.names.list();
    const schema1 = JSON.stringify({ schemaVersion: 1, name: 'x', fsLayers: [] });
    const layout = (index: unknown, more: Record<string, string> = {}) => ({
      'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
      'index.json': JSON.stringify(index),
      ...more,
    });
    const entry = (text: string, mediaType: string) => ({
      mediaType,
      digest: `sha256:${sha256(text)}`,
      size: Buffer.byteLength(text),
    });
    const oci = 'application/vnd.oci.image.manifest.v1+json';
    const cases: readonly (readonly [string, Record<string, string>, RegExp])[] = [
      ['a name that is none', saved('../../etc/passwd'), /gives an image a name that is none/],
      ['a name with an escape sequence', saved('\u001b[2Japp:1'), /\\u001b/],
      ['a config that is not there', saved('app:1', { Config: 'missing.json' }), /has no missing\.json/],
      ['a config outside', saved('app:1', { Config: '../../../etc/passwd' }), /has no|outside|hostile/],
      ['layers that do not fit', saved('app:1', { Layers: ['a.tar'] }), /lists 1 layers, its config 0/],
      ['no list', { 'manifest.json': '{}' }, /lists no image/],
      ['no JSON', { 'manifest.json': '{' }, /not valid JSON/],
      [
        'a manifest above 4 MiB',
        { 'manifest.json': ' '.repeat(4 * 1024 * 1024 + 1) },
        /more than 4194304 are not read/,
      ],
      [
        'schema 1',
        layout(
          { schemaVersion: 2, manifests: [entry(schema1, oci)] },
          { [`blobs/sha256/${sha256(schema1)}`]: schema1 },
        ),
        /schema 1/,
      ],
      [
        'a blob that is not there',
        layout({ schemaVersion: 2, manifests: [entry('gone', oci)] }),
        /has no blobs\/sha256/,
      ],
      [
        'another blob than announced',
        layout(
          { schemaVersion: 2, manifests: [entry('aaaa', oci)] },
          { [`blobs/sha256/${sha256('aaaa')}`]: 'bbbb' },
        ),
        /damaged/,
      ],
      ['nothing', { file: '' }, /holds no image/],
    ];
    for (const [what, files, message] of cases) {
      await assert.rejects(
        loadFile({ path: write(bench, files), kind: 'directory' }, bench.tools),
        { name: 'BuildError', message },
        what,
      );
      assert.deepEqual(bench.store.names.list(), before, what);
      assert.deepEqual(bench.store.names.untagged(), [], what);
    }
  }));

test('of several images in an archive none gets a name when one cannot be used', () =>
  withImages(async bench => {
    const good = { Config: `${sha256(config)}.json`, RepoTags: ['good:1'], Layers: [] };
    const dir = write(bench, {
      'manifest.json': JSON.stringify([good, { ...good, RepoTags: ['BAD'], Config: 'none' }]),
      [`${sha256(config)}.json`]: config,
    });
    await assert.rejects(loadFile({ path: dir, kind: 'directory' }, bench.tools), /has no none/);
    assert.deepEqual(bench.store.names.list(), []);
  }));

test('what is no tar is not imported, and leaves no image', () =>
  withImages(async ({ store, tools }) => {
    const from = async function* (text: string) {
      yield Buffer.from(text);
    };
    const request = { changes: [], message: '', platform: hostPlatform(), created: '2024-01-01T00:00:00Z' };
    for (const text of ['', 'no tar', '\u001f\ufffd']) {
      await assert.rejects(importImage({ ...request, tar: from(text) }, tools), { code: 'integrity' }, text);
    }
    for (const change of ['RUN x', 'FROM y', 'NOPE', 'COPY a b', 'ARG x']) {
      await assert.rejects(
        importImage({ ...request, tar: from(''), changes: [change] }, tools),
        { code: 'dockerfile' },
        change,
      );
    }
    assert.deepEqual([...store.names.list(), ...store.names.untagged()], []);
  }));

test('a copy that fails leaves nothing at its destination', () =>
  withImages(async ({ dir, store, tools, image }) => {
    const app = await image({ layers: ['a'] });
    await store.names.set('docker.io/library/app:1', app);
    const layer = (await listLocalImages(store))[0]?.config.diffIds[0];
    assert.ok(layer);
    await store.blobs.remove(layer);
    const copy = (to: string) =>
      copyImage(
        {
          from: 'app:1',
          to,
          all: false,
          openDestination: path =>
            openDestination(path, { cwd: dir, stdout: process.stdout, stdoutIsTerminal: false }),
        },
        tools,
      );
    for (const to of ['docker-archive:out.tar', 'oci-archive:out.tar', 'oci:out', 'other:1']) {
      await assert.rejects(copy(to), /fetched/, to);
    }
    await assert.rejects(copy('UPPER'), { code: 'usage' });
    await assert.rejects(copy('app@sha256:0'), { code: 'usage' });
    const { readdirSync } = await import('node:fs');
    assert.deepEqual(readdirSync(dir), ['store']);
    assert.equal(store.names.list().length, 1);
  }));
