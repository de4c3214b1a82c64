// Somebody who swaps a directory with a link while we extract (EX-07, CVE-2025-47290): nothing lands outside.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { inArena } from '../support/canary.ts';
import { directory, file, hardlink, symlink } from '../support/tar-bytes.ts';

/** Exchanges two names as fast as it can (renameat2 with RENAME_EXCHANGE) until its stdin closes. */
const swapper = `
import ctypes,os,sys,select
libc=ctypes.CDLL(None,use_errno=True)
a,b=os.fsencode(sys.argv[1]),os.fsencode(sys.argv[2])
print("ready",flush=True)
tries=swaps=0
while True:
    swaps+=libc.renameat2(-100,a,-100,b,2)==0
    tries+=1
    if tries%100==0 and select.select([0],[],[],0)[0]: break
print(swaps,flush=True)
`;

describe('extraction while a directory is swapped with a link', () => {
  it(
    'writes nothing outside of the root',
    inArena(async ({ extract, root, canary }) => {
      extract([directory('d/sub'), symlink('evil', canary)]);
      const child = spawn('python3', ['-c', swapper, join(root, 'd'), join(root, 'evil')], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', chunk => (said += chunk));
      await once(child.stdout, 'data');
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
        child.stdin.end();
        await once(child, 'close');
      }
      assert.ok(Number(said.split('\n')[1]) > 0, `nothing was swapped: ${said}`);
      assert.ok(readdirSync(root).length >= 2);
    }),
  );
});
