// Contract of Layers: layers that a step writes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { bytePath, type ContentSource, type LayerInput } from '../../src/tree/entry.ts';
import {
  directory,
  failsWith,
  input,
  type LayersFixture,
  paths,
  signal,
  text,
} from '../support/layers-fixture.ts';

/** Part of layers.ts. */
export function writtenLayers(at: LayersFixture): void {
  describe('a layer that is written', () => {
    it('is the blob of its digest, which other tools list', async () => {
      const diffId = await at.layers.write(
        [
          directory('d'),
          input('d/x', { text: 'hello' }),
          input('d/gone', { type: 'whiteout' }),
          directory('o', { opaque: true }),
          input('l', { type: 'symlink', linkTarget: 'd/x' }),
          input('h', { type: 'hardlink', linkTarget: 'd/x' }),
        ],
        signal,
      );
      assert.equal(digestOf(at.blobText(diffId)), diffId);
      assert.deepEqual(at.gnuList(diffId), ['d/', 'd/.wh.gone', 'd/x', 'h', 'l', 'o/', 'o/.wh..wh..opq']);
      assert.ok(at.layers.has(diffId));
    });

    it('has the same bytes whatever the order of the entries and the umask', async () => {
      const entries = [
        directory('a'),
        input('a/b', { text: 'b' }),
        input('a-b', { text: 'c' }),
        directory('z'),
      ];
      const one = await at.layers.write(entries, signal);
      await at.reopen();
      const mask = process.umask(0o077);
      try {
        assert.equal(await at.layers.write([...entries].reverse(), signal), one);
      } finally {
        process.umask(mask);
      }
    });

    it('is listed with its contents, also after the store was opened again', async () => {
      const diffId = await at.layers.write(
        [input('a', { text: 'one' }), input('b', { text: 'two' })],
        signal,
      );
      for (let i = 0; i < 2; i++) {
        const index = await at.layers.index(diffId, signal);
        assert.deepEqual(paths(index), ['file a', 'file b']);
        assert.equal(text(index, 'b'), 'two');
        await at.reopen();
      }
    });

    it('may be empty', async () => {
      const diffId = await at.layers.write([], signal);
      assert.equal(at.blobText(diffId).length, 1024);
      assert.deepEqual((await at.layers.index(diffId, signal)).entries, []);
    });

    it('takes its contents out of other layers and trees', async () => {
      const first = await at.layers.write([input('a', { text: 'from a layer' })], signal);
      const index = await at.layers.index(first, signal);
      const dir = join(at.store.tmp, 'context');
      mkdirSync(join(dir, 'sub'), { recursive: true });
      writeFileSync(join(dir, 'sub/f'), 'from a directory');
      const [entry] = index.entries;
      assert.ok(entry);
      const second = await at.layers.write(
        [
          { entry: { ...entry, path: bytePath('copy') }, content: index.content(entry) },
          {
            ...input('sub-f'),
            entry: { ...input('sub-f').entry, size: 16 },
            content: { kind: 'in-tree', root: dir, path: bytePath('sub/f'), size: 16 },
          },
        ],
        signal,
      );
      const copied = await at.layers.index(second, signal);
      assert.deepEqual([text(copied, 'copy'), text(copied, 'sub-f')], ['from a layer', 'from a directory']);
    });

    it('is refused, naming the file, when one became shorter or is gone', async () => {
      const dir = join(at.store.tmp, 'context');
      mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, 'short'), '12345');
      const make = (file: string): LayerInput => ({
        entry: { ...input(file).entry, size: 10 },
        content: { kind: 'in-tree', root: dir, path: bytePath(file), size: 10 },
      });
      await assert.rejects(
        at.layers.write([make('short')], signal),
        failsWith('context', /"short" became shorter/),
      );
      await assert.rejects(at.layers.write([make('missing')], signal), failsWith('context', /"missing"/));
      assert.deepEqual(
        at.files().filter(file => /^(blobs|layers|ingest)/.test(file)),
        [],
      );
    });

    it('does not follow a link that takes the place of a file or a directory', async () => {
      const dir = join(at.store.tmp, 'context');
      mkdirSync(join(dir, 'real'), { recursive: true });
      writeFileSync(join(dir, 'real/f'), 'secret');
      execFileSync('ln', ['-s', 'real', join(dir, 'linked')]);
      execFileSync('ln', ['-s', 'real/f', join(dir, 'file')]);
      for (const path of ['linked/f', 'file']) {
        const entry = { ...input(path).entry, size: 6 };
        const content: ContentSource = { kind: 'in-tree', root: dir, path: bytePath(path), size: 6 };
        await assert.rejects(at.layers.write([{ entry, content }], signal), failsWith('context'));
      }
    });

    it('is refused when a file is called like a whiteout', async () => {
      await assert.rejects(at.layers.write([input('.wh.x')], signal), failsWith('context', /\.wh\.x/));
    });
  });
}
