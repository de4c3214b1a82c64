// Measures slipway beside other builders in the same run and prints ratios (above 1: slipway is faster).
//   node bench/run.js [scenario words ...] [--runs=3] [--json=file]
// Which builders: buildah and docker from PATH, or as BENCH_BUILDAH / BENCH_DOCKER say (a command line). What is built
// lives below BENCH_DIR (default: a directory in /tmp, so that builders in a chroot which shares /tmp find it).
// BENCH_BUILDAH_FLAGS are added to each of its builds (a machine may need --ulimit, --runtime, --network).
// BENCH_BASE is an image that all of them can pull (default busybox), BENCH_BIG one of about 500 MB (default gcc).
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureBounds, measureSteps } from './bounds.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2).filter(arg => !arg.startsWith('--'));
const option = (name, otherwise) =>
  process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise;
const runs = Number(option('runs', '3'));
const base = process.env.BENCH_BASE ?? 'busybox';
const big = process.env.BENCH_BIG ?? 'gcc';
const home = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'slipway-bench-'));
const store = join(home, 'store');

const builders = [slipway(), buildah(), docker()].filter(Boolean);
const results = [];

function commandOf(variable, fallback) {
  const text = process.env[variable] ?? fallback;
  const argv = text.split(' ');
  return spawnSync(argv[0], [...argv.slice(1), '--version'], { stdio: 'ignore' }).status === 0
    ? argv
    : undefined;
}

function slipway() {
  const argv = [process.execPath, join(root, 'bin/slipway.js'), '--root', store];
  return {
    name: 'slipway',
    version: [...argv, '--version'],
    build: (dir, tag, flags) => [...argv, 'build', '--progress=quiet', '-t', tag, ...flags, dir],
    forget: () => rmSync(store, { recursive: true, force: true }),
  };
}

function buildah() {
  const argv = commandOf('BENCH_BUILDAH', 'buildah');
  const extra = process.env.BENCH_BUILDAH_FLAGS?.split(' ') ?? [];
  if (!argv) return undefined;
  return {
    name: 'buildah',
    version: [...argv, '--version'],
    build: (dir, tag, flags) => [...argv, 'build', '-q', '--layers', ...extra, '-t', tag, ...flags, dir],
    forget: () => spawnSync(argv[0], [...argv.slice(1), 'rmi', '-a', '-f'], { stdio: 'ignore' }),
  };
}

function docker() {
  const argv = commandOf('BENCH_DOCKER', 'docker');
  if (!argv || spawnSync(argv[0], [...argv.slice(1), 'info'], { stdio: 'ignore' }).status !== 0)
    return undefined;
  return {
    name: 'docker',
    version: [...argv, '--version'],
    build: (dir, tag, flags) => [...argv, 'build', '-q', '--network=host', '-t', tag, ...flags, dir],
    forget: () => {
      spawnSync(argv[0], [...argv.slice(1), 'builder', 'prune', '-a', '-f'], { stdio: 'ignore' });
      spawnSync(argv[0], [...argv.slice(1), 'image', 'prune', '-a', '-f'], { stdio: 'ignore' });
    },
  };
}

function time(argv) {
  const started = process.hrtime.bigint();
  const ended = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8' });
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (ended.status !== 0) throw new Error(`${argv.join(' ')}\n${ended.stderr}`);
  return seconds;
}

const median = values => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** @param prepare called before each run, untimed; @param argv the timed command */
function scenario(name, prepare, argv) {
  if (words.length > 0 && !words.some(word => name.includes(word))) return;
  const row = { name };
  for (const builder of builders) {
    try {
      const times = [];
      for (let i = 0; i < runs; i++) {
        prepare(builder, i);
        times.push(time(argv(builder)));
      }
      row[builder.name] = median(times);
    } catch (error) {
      row[builder.name] = undefined;
      console.error(`${name}, ${builder.name}: ${error.message.split('\n').slice(0, 6).join('\n')}`);
    }
  }
  results.push(row);
  console.log(show(row));
}

function show(row) {
  const ours = row.slipway;
  const cells = builders.map(({ name }) => {
    const seconds = row[name];
    if (seconds === undefined) return `${name} failed`;
    return name === 'slipway'
      ? `slipway ${seconds.toFixed(3)}s`
      : `${name} ${seconds.toFixed(3)}s (x${(seconds / ours).toFixed(2)})`;
  });
  return `${row.name.padEnd(34)} ${cells.join('   ')}`;
}

function context(name, dockerfile, fill = () => {}) {
  const dir = join(home, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  fill(dir);
  return dir;
}

function manyFiles(count) {
  return dir => {
    for (let i = 0; i < count; i++) {
      const sub = join(dir, 'files', `d${i % 100}`);
      if (i < 100) mkdirSync(sub, { recursive: true });
      const file = join(sub, `f${i}.txt`);
      writeFileSync(file, `file ${i}\n`.repeat(1 + (i % 50)));
      // Older than the caches' doubt about files that changed just now.
      utimesSync(file, 1_700_000_000, 1_700_000_000);
    }
  };
}

const files = context('files-10k', `FROM ${base}\nCOPY files /files\nLABEL done=yes\n`, manyFiles(10_000));
const steps = context(
  'steps-60',
  `FROM ${base}\n${Array.from({ length: 60 }, (_, i) => `RUN echo ${i} > /f${i}`).join('\n')}\n`,
);
const noRun = context('copy-only', `FROM ${base}\nWORKDIR /app\nCOPY a b ./\nENV X=1\nCMD ["sh"]\n`, dir => {
  for (const name of ['a', 'b']) writeFileSync(join(dir, name), name);
});
const unpack = context('big-base', `FROM ${big}\nRUN true\n`);
const warm = (dir, tag) => builder => time(builder.build(dir, tag, []));
const cold = builder => builder.forget();

console.log(
  `${cpus().length} cores, node ${process.version}, median of ${runs}; seconds, and how many times as long as slipway`,
);
for (const builder of builders)
  console.log(
    `  ${execFileSync(builder.version[0], builder.version.slice(1), { encoding: 'utf8' }).split('\n')[0]}`,
  );
scenario(
  'startup',
  () => {},
  builder => builder.version,
);
scenario('copy only, unchanged', warm(noRun, 'bench-noop'), builder =>
  builder.build(noRun, 'bench-noop', []),
);
scenario(
  'copy only, no cache',
  () => {},
  builder => builder.build(noRun, 'bench-noop', ['--no-cache']),
);
scenario('10,000 files, no cache', warm(noRun, 'bench-noop'), builder =>
  builder.build(files, 'bench-files', ['--no-cache']),
);
scenario('10,000 files, unchanged', warm(files, 'bench-files'), builder =>
  builder.build(files, 'bench-files', []),
);
scenario('60 steps, no cache', warm(noRun, 'bench-noop'), builder =>
  builder.build(steps, 'bench-steps', ['--no-cache']),
);
scenario('60 steps, unchanged', warm(steps, 'bench-steps'), builder =>
  builder.build(steps, 'bench-steps', []),
);
scenario('pull, unpack and run a big base', cold, builder => builder.build(unpack, 'bench-big', []));

const isWanted = name => words.length === 0 || words.some(word => name.includes(word));
const own = [process.execPath, join(root, 'bin/slipway.js'), '--root', store];
const bounds = [
  ...(isWanted('overhead of a step') ? measureSteps(home, own, base, runs) : []),
  ...(isWanted('bounds') ? await measureBounds(home, own, store, runs) : []),
];

const json = option('json');
if (json)
  writeFileSync(
    json,
    `${JSON.stringify({ cores: cpus().length, node: process.version, runs, results, bounds }, null, 2)}\n`,
  );
rmSync(home, { recursive: true, force: true });
