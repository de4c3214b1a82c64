// A directory for one test, gone afterwards.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from '../../src/host/temp.ts';

export async function withTempDir<T>(work: (dir: string) => Promise<T> | T): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-test-'));
  try {
    return await work(dir);
  } finally {
    await removeTree(dir);
  }
}
