// Budgets and masses (B-01, B-14, EX-15): bounded, and refused in time.
import assert from 'node:assert/strict';
import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Extractor } from '../../src/archive/extract.ts';
import { BuildError } from '../../src/errors.ts';
import type { BytePath, Entry } from '../../src/tree/entry.ts';
import { inArena } from '../support/canary.ts';
import { directory, file, pax, record } from '../support/tar-bytes.ts';

const plain: Entry = {
  path: 'f' as BytePath,
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSec: 0,
  mtimeNsec: 0,
  size: 0,
};

describe('extraction within limits', () => {
  it(
    'stops before it writes more bytes than allowed',
    inArena(({ extract, refuses, list }) => {
      const parts = [file('a', 'x'.repeat(600)), file('b', 'x'.repeat(400))];
      extract(parts, { maxBytes: 1000 });
      refuses(parts, 'integrity', /more than 999 bytes/, { maxBytes: 999 });
      refuses([file('huge', '', { size: 2 ** 33 - 1 })], 'integrity', /more than 1000 bytes/, {
        maxBytes: 1000,
      });
      assert.equal(list().huge, undefined);
    }),
  );
  it(
    'stops before it makes more entries than allowed',
    inArena(({ extract, refuses }) => {
      const parts = [directory('d'), file('d/a'), file('d/b')];
      extract(parts, { maxEntries: 3 });
      refuses(parts, 'integrity', /more than 2 entries/, { maxEntries: 2 });
    }),
  );
  it(
    'gives a sparse file its holes back, and counts only what is stored',
    inArena(({ extract, root }) => {
      const body =
        record('GNU.sparse.major', '1') +
        record('GNU.sparse.minor', '0') +
        record('GNU.sparse.name', 's') +
        record('GNU.sparse.realsize', String(2 ** 33));
      const map = `2\n1048576\n3\n${2 ** 33 - 4096}\n2\n`.padEnd(512, '\0');
      extract([pax(body), file('x', `${map}abcde`)], { maxBytes: 10 });
      const stat = statSync(join(root, 's'));
      assert.equal(stat.size, 2 ** 33);
      assert.ok(stat.blocks * 512 < 2 ** 20, 'the holes were written');
    }),
  );
  it(
    'takes a hundred thousand entries in bounded memory',
    inArena(({ root, resolver }) => {
      if (resolver === 'walk') return;
      const extractor = new Extractor(root, { whiteouts: 'overlay', resolver });
      try {
        globalThis.gc?.();
        const before = process.memoryUsage.rss();
        // The same two thousand names again and again, so that the file system has little to do.
        for (let i = 0; i < 100_000; i++) {
          extractor.entry({ ...plain, path: `d${i % 50}/.wh.${i % 2000}` as BytePath });
        }
        const grown = process.memoryUsage.rss() - before;
        assert.ok(grown < 64 << 20, `${grown >> 20} MiB more`);
      } finally {
        extractor.close();
      }
    }),
  );
  it(
    'says which file could not be written, and why',
    inArena(({ root, resolver }) => {
      const extractor = new Extractor(root, { whiteouts: 'literal', resolver, failure: 'output' });
      try {
        const name = 'n'.repeat(256) as BytePath;
        assert.throws(
          () => extractor.entry({ ...plain, path: name }),
          (error: unknown) =>
            error instanceof BuildError && error.code === 'integrity' && /ENAMETOOLONG/.test(error.message),
        );
      } finally {
        extractor.close();
      }
      assert.ok(lstatSync(root).isDirectory());
    }),
  );
  it(
    'leaves no descriptor open, also after a failure',
    inArena(async ({ extract, refuses }) => {
      const { readdirSync } = await import('node:fs');
      const open = () => readdirSync('/proc/self/fd').length;
      const before = open();
      extract([directory('a'), file('a/b/c'), file('d/e')]);
      refuses([file('x/y', 'z'), file('f'), file('f/g')], 'integrity', /f\/g/);
      assert.equal(open(), before);
    }),
  );
});
