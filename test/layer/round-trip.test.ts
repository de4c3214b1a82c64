import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Layers } from '../../src/layer/layers.ts';
import { openLayers } from '../../src/layer/store-layers.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { BytePath, EntryType, LayerEntry, LayerInput } from '../../src/tree/entry.ts';
import { signal } from '../support/layers-fixture.ts';

const name = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'a-b', '-', 'a b', '\xff', 'caf\xe9', 'x'.repeat(120), '\n', '...'),
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'));
const type: fc.Arbitrary<EntryType | 'whiteout' | 'opaque'> = fc.constantFrom(
  'file',
  'file',
  'hardlink',
  'directory',
  'opaque',
  'symlink',
  'fifo',
  'char',
  'whiteout',
);
const seed = fc.record({
  path,
  type,
  mode: fc.constantFrom(0, 0o644, 0o755, 0o4755, 0o2711, 0o1777, 0o7777),
  uid: fc.constantFrom(0, 1000, 2_097_152, 4_294_967_294),
  gid: fc.constantFrom(0, 5),
  mtimeSec: fc.constantFrom(-100, 0, 1, 1_700_000_000, 5_000_000_000),
  text: fc.string({ maxLength: 2000 }),
  xattr: fc.option(fc.uint8Array({ minLength: 1, maxLength: 30 }), { nil: undefined, freq: 5 }),
});
type Seed = typeof seed extends fc.Arbitrary<infer T> ? T : never;

/** Only what can be in a layer: parents are directories, links name a file of the list, whiteouts carry nothing. */
function layerOf(seeds: readonly Seed[]): LayerInput[] {
  const inputs = new Map<string, LayerInput>();
  const files = seeds.filter(s => s.type === 'file').map(s => s.path);
  for (const s of [...seeds].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    for (let i = s.path.indexOf('/'); i > 0; i = s.path.indexOf('/', i + 1)) {
      const parent = s.path.slice(0, i);
      if (inputs.get(parent)?.entry.type !== 'directory')
        inputs.set(parent, inputOf({ ...s, path: parent, type: 'directory' }, files));
    }
    inputs.set(s.path, inputOf(s, files));
  }
  const named = (link: LayerEntry) => inputs.get(link.linkTarget ?? '')?.entry.type === 'file';
  return [...inputs.values()].filter(({ entry }) => entry.type !== 'hardlink' || named(entry));
}

function inputOf(s: Seed, files: readonly string[]): LayerInput {
  const content = Buffer.from(s.text);
  const isFile = s.type === 'file';
  const base: LayerEntry = {
    path: s.path as BytePath,
    type: s.type === 'opaque' ? 'directory' : s.type,
    mode: s.type === 'symlink' ? 0o777 : s.mode,
    uid: s.uid,
    gid: s.gid,
    mtimeSec: s.mtimeSec,
    mtimeNsec: 0,
    size: isFile ? content.length : 0,
  };
  if (s.type === 'whiteout') return { entry: { ...base, mode: 0, uid: 0, gid: 0, mtimeSec: 0 } };
  if (s.type === 'symlink')
    return { entry: { ...base, linkTarget: s.text.replaceAll('\0', '').slice(0, 200) || '/' } };
  if (s.type === 'hardlink')
    return { entry: { ...base, linkTarget: files[s.uid % (files.length || 1)] ?? '' } };
  if (s.type === 'char') return { entry: { ...base, devMajor: 1, devMinor: 3 } };
  if (s.type === 'opaque') return { entry: { ...base, opaque: true } };
  const xattrs =
    s.xattr && (isFile || s.type === 'directory')
      ? { 'user.test': Buffer.from(s.xattr).toString('latin1') }
      : undefined;
  const entry = xattrs ? { ...base, xattrs } : base;
  return isFile ? { entry, content: { kind: 'bytes', bytes: content } } : { entry };
}

describe('a layer', () => {
  let root: string;
  let store: Store;
  let layers: Layers;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'slipway-round-'));
    store = await openStore(root);
    layers = openLayers(store, { fetch: async () => assert.fail('nothing to fetch') });
  });
  after(async () => {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  });

  it('survives tar, index, tree and tar again byte for byte', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(seed, { maxLength: 15 }), async seeds => {
        const inputs = layerOf(seeds);
        const diffId = await layers.write(inputs, signal);
        const listed = (await layers.index(diffId, signal)).entries;
        const treeId = `run-${run++}`;
        await using ingest = await store.trees.begin();
        // The tree is taken over under another name, so that it is scanned and not known.
        const { renameSync, rmdirSync } = await import('node:fs');
        const fs = await layers.tree(diffId, signal);
        rmdirSync(ingest.fs);
        renameSync(fs, ingest.fs);
        await ingest.commit(treeId);
        await store.trees.remove(diffId.slice('sha256:'.length));
        const again = layers.fromTree(treeId);
        const scanned = (await layers.index(again, signal)).entries;
        assert.deepEqual(scanned, listed);
        assert.equal((await layers.tar(again, signal)).diffId, diffId);
      }),
      { numRuns: 150 },
    );
  });
});
