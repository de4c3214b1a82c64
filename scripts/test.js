// Compiles src/ and test/ into dist/test and runs node's test runner on the files whose path contains one
// of the words given (all of them without words): `npm test -- dockerfile tree/resolve`.
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, process.env.SLIPWAY_TEST_OUT ?? 'dist/test');
const words = process.argv.slice(2).filter(word => !word.startsWith('--'));
const flags = process.argv.slice(2).filter(word => word.startsWith('--'));

rmSync(out, { recursive: true, force: true });
const tsc = join(root, 'node_modules/typescript/bin/tsc');
const compiled = spawnSync(process.execPath, [tsc, '-p', root, '--outDir', out], { stdio: 'inherit' });
if (compiled.status !== 0 && !flags.includes('--despite-types')) process.exit(compiled.status ?? 1);

const files = readdirSync(join(out, 'test'), { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.test.js'))
  .filter(name => words.length === 0 || words.some(word => name.includes(word)))
  .sort()
  .map(name => join(out, 'test', name));
if (files.length === 0) {
  console.error(`no test file matches ${words.join(' ')}`);
  process.exit(1);
}
if (files.some(name => name.includes('/e2e/'))) {
  // The program as users start it, and the base images it is tried on.
  for (const script of ['build.js', 'fixtures.js']) {
    const made = spawnSync(process.execPath, [join(root, 'scripts', script)], { stdio: 'inherit' });
    if (made.status !== 0) process.exit(made.status ?? 1);
  }
}
const reporter = process.env.CI ? 'spec' : 'dot';
const run = spawnSync(
  process.execPath,
  [
    '--test',
    `--test-reporter=${reporter}`,
    '--test-concurrency=2',
    ...flags.filter(f => f.startsWith('--test-')),
    ...files,
  ],
  { stdio: 'inherit', cwd: root },
);
process.exit(run.status ?? 1);
