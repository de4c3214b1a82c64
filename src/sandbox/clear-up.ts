// A program, not a module: what a watchdog (watchdog.ts) becomes when slipway is gone. argv: the estate as JSON.
import { removeDir } from './remove-dir.ts';
import { killStrays } from './strays.ts';
import type { Estate } from './watchdog.ts';

const { mark, paths } = JSON.parse(process.argv[2] ?? '') as Estate;
await killStrays(mark);
for (const path of paths) {
  try {
    removeDir(path);
  } catch {
    // Another slipway may be removing the same.
  }
}
