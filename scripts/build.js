// Bundles src/ into dist/app: few files start faster than many, and what a command does not need stays
// in chunks of its own. Everything lands flat in one directory, so `new URL('./x.js', import.meta.url)`
// means the same here as beside the source.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'dist/app');

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: {
    main: 'src/cli/main.ts',
    index: 'src/index.ts',
    'bytes-worker': 'src/layer/bytes-worker.ts',
  },
  outdir: 'dist/app',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'bundle',
  external: ['koffi', 'lmdb', 'zlib-sync'],
  banner: {
    js: "import { createRequire as slipwayRequire } from 'node:module'; const require = slipwayRequire(import.meta.url);",
  },
  sourcemap: true,
  logLevel: 'warning',
  write: false,
});

// A program that runs meanwhile loads its chunks late: each file is replaced at once, and chunks that are no longer
// part of the program stay for an hour.
mkdirSync(out, { recursive: true });
for (const { path, contents } of outputFiles) {
  if (existsSync(path) && Buffer.from(contents).equals(readFileSync(path))) continue;
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}
const current = new Set(outputFiles.map(({ path }) => path));
for (const name of readdirSync(out)) {
  const path = join(out, name);
  if (!current.has(path) && Date.now() - statSync(path).mtimeMs > 3_600_000) rmSync(path, { force: true });
}

if (process.argv.includes('--types')) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const flags = ['--declaration', '--emitDeclarationOnly', '--outDir', 'dist/types', '--rootDir', 'src'];
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), ...flags], {
    stdio: 'inherit',
  });
}
