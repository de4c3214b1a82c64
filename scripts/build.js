// Bundles src/ into dist/app: the program as one file (scripts/bundle/start.cjs starts it with V8's code cache); the
// library, the worker and what clears up after a killed build as modules. Everything lands flat in one directory, so
// `new URL('./x.js', import.meta.url)` means the same here as beside the source.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
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

/** src/store/lmdb.ts says why. */
const bundledLmdb = {
  name: 'bundled-lmdb',
  setup({ onLoad, onResolve }) {
    const from = name => join(root, 'scripts/bundle', name);
    onLoad({ filter: /src\/store\/lmdb\.ts$/ }, () => ({
      contents: readFileSync(from('lmdb.js'), 'utf8'),
      loader: 'js',
    }));
    onResolve({ filter: /^node-gyp-build-optional-packages$/ }, () => ({ path: from('native-addon.cjs') }));
  },
};

const common = {
  absWorkingDir: root,
  outdir: 'dist/app',
  bundle: true,
  platform: 'node',
  target: 'node20',
  packages: 'bundle',
  external: ['@aws-sdk/client-s3', 'koffi', 'zlib-sync'],
  plugins: [bundledLmdb],
  sourcemap: true,
  logLevel: 'warning',
  write: false,
};
const library = await build({
  ...common,
  entryPoints: {
    index: 'src/index.ts',
    'bytes-worker': 'src/layer/bytes-worker.ts',
    'clear-up': 'src/sandbox/clear-up.ts',
  },
  splitting: true,
  format: 'esm',
  banner: {
    js: "import { createRequire as slipwayRequire } from 'node:module'; const require = slipwayRequire(import.meta.url); const __filename = require('node:url').fileURLToPath(import.meta.url);",
  },
});
const program = await build({
  ...common,
  entryPoints: { slipway: 'src/cli/main.ts' },
  format: 'cjs',
  minifyWhitespace: true,
  legalComments: 'external',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.url': 'slipwayUrl' },
  // start.cjs runs the program as a script, where import() does not work: esbuild writes require() instead.
  supported: { 'dynamic-import': false },
  banner: { js: "const slipwayUrl = require('node:url').pathToFileURL(__filename).href;" },
});
const outputFiles = [...library.outputFiles, ...program.outputFiles.map(inAscii)];
const id = createHash('sha256');
for (const { contents } of program.outputFiles) id.update(contents);
const start = readFileSync(join(root, 'scripts/bundle/start.cjs'), 'utf8');
outputFiles.push({
  path: join(out, 'start.cjs'),
  contents: Buffer.from(start.replaceAll('BUNDLE_ID', id.digest('hex').slice(0, 16))),
});

/** One byte per character reads faster; what esbuild leaves as it is stands in regular expressions. */
function inAscii(file) {
  if (!file.path.endsWith('.cjs')) return file;
  const text = Buffer.from(file.contents).toString('utf8');
  const escaped = text.replace(/[^\0-\x7f]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return { path: file.path, contents: Buffer.from(escaped) };
}

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
