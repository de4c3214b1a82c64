// Somebody who swaps a directory with a link while we extract (EX-07, CVE-2025-47290): nothing lands outside.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { inArena } from '../support/canary.ts';
import { startSwapper } from '../support/swapper.ts';
import { directory, file, hardlink, symlink } from '../support/tar-bytes.ts';

describe('extraction while a directory is swapped with a link', () => {
  it(
    'writes nothing outside of the root',
    inArena(async ({ extract, root, canary }) => {
      extract([directory('d/sub'), symlink('evil', canary)]);
      const stop = await startSwapper(join(root, 'd'), join(root, 'evil'));
      let swaps = 0;
      try {
        for (let round = 0; round < 300; round++) {
          const parts = [
            file('d/file', 'evil'),
            file('d/sub/inner', 'evil'),
            directory(`d/new${round}`),
            file('d/empty', 'x'),
          ];
          try {
            extract([
              ...parts,
              hardlink(`d/h${round}`, 'd/file'),
              symlink('d/sub/inner', 'x'),
              file(`d/.wh.new${round}`),
            ]);
          } catch (error) {
            // Losing a race may be an error, but one of the archive or the disk, with its reason.
            assert.ok(
              error instanceof BuildError && (error.code === 'integrity' || error.code === 'store'),
              String(error),
            );
          }
        }
      } finally {
        swaps = await stop();
      }
      assert.ok(swaps > 0, 'nothing was swapped');
      assert.ok(readdirSync(root).length >= 2);
    }),
  );
});
