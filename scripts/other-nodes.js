// Runs the end-to-end tests (or the words given) on the oldest Node that package.json names and on the newest that npm
// has. npm's node-linux-* packages carry the program itself.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const oldest = /(\d+\.\d+\.\d+)/.exec(engines.node)[1];
const arch = { x64: 'x64', arm64: 'arm64' }[process.arch];
const name = `node-linux-${arch}`;
const newest = execFileSync('npm', ['view', name, 'version'], { encoding: 'utf8' }).trim();

for (const version of [oldest, newest]) {
  const home = join(root, 'dist/nodes', version);
  const program = join(home, 'node_modules', name, 'bin/node');
  if (!existsSync(program)) {
    mkdirSync(home, { recursive: true });
    execFileSync(
      'npm',
      ['install', '--prefix', home, '--no-save', '--no-audit', '--no-fund', `${name}@${version}`],
      { stdio: 'inherit' },
    );
  }
  const found = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`\n-- ${found}`);
  const words = process.argv.slice(2).length > 0 ? process.argv.slice(2) : ['e2e/'];
  const run = spawnSync(program, [join(root, 'scripts/test.js'), ...words], {
    stdio: 'inherit',
    env: {
      ...process.env,
      SLIPWAY_TEST_OUT: `dist/test-${version}`,
      PATH: `${dirname(program)}:${process.env.PATH}`,
    },
  });
  if (run.status !== 0) process.exit(run.status ?? 1);
}
