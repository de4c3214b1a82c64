// Where the repository is, for tests that read its files or run its program.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'biome.json'))) {
    const parent = dirname(dir);
    if (parent === dir) throw new Error('the repository root was not found');
    dir = parent;
  }
  return dir;
}

export const repoRoot: string = findRoot();
