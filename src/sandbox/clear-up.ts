// A program, not a module: what a watchdog (watchdog.ts) becomes when slipway is gone. argv: the estate as JSON.
import { rmSync } from 'node:fs';
import { killStrays } from './strays.ts';
import type { Estate } from './watchdog.ts';

const { mark, paths } = JSON.parse(process.argv[2] ?? '') as Estate;
await killStrays(mark, 2);
for (const path of paths) {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // Another slipway may be removing the same.
  }
}
