// Measures push and pull beside docker, in turns, and prints ratios (above 1: slipway is faster).
//   node bench/registry.js [push|pull ...] [--runs=3] [--bytes=1073741824] [--pull-bytes=1400000000]
// BENCH_DOCKER is docker's command line (default docker), BENCH_REGISTRY a registry that both reach (default
// 127.0.0.1:5000), where repositories below bench/ are written. Layers are made of real files from BENCH_FILES (default
// /usr/lib) and a twentieth of noise, which makes them never the same twice; --pull-bytes are those of the image that is pulled, about 500 MB when packed.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2).filter(arg => !arg.startsWith('--'));
const option = (name, otherwise) =>
  Number(process.argv.find(arg => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);
const runs = option('runs', 3);
/** Images hold pictures, archives, wheels: what does not shrink any more. */
const noiseShare = 1 / 20;
const docker = (process.env.BENCH_DOCKER ?? 'docker').split(' ');
const registry = process.env.BENCH_REGISTRY ?? '127.0.0.1:5000';
const home = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
const store = join(home, 'store');
const slipway = [process.execPath, join(root, 'bin/slipway.js'), '--root', store];

function run(argv, options = {}) {
  const started = process.hrtime.bigint();
  const ended = spawnSync(argv[0], argv.slice(1), { encoding: 'utf8', ...options });
  if (ended.status !== 0) throw new Error(`${argv.join(' ')}\n${ended.stderr}`);
  return Number(process.hrtime.bigint() - started) / 1e9;
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

function report(name, times) {
  const [ours, theirs] = [median(times.slipway), median(times.docker)];
  console.log(
    `${name.padEnd(34)} slipway ${ours.toFixed(2)}s   docker ${theirs.toFixed(2)}s (x${(theirs / ours).toFixed(2)})`,
  );
}

/** Paths of regular files below `dir` until their sizes come to `bytes`. */
function filesFrom(dir, bytes) {
  const found = [];
  let left = bytes;
  const walk = path => {
    for (const name of readdirSync(path).sort()) {
      if (left <= 0) return;
      const file = join(path, name);
      const stat = lstatSync(file);
      if (stat.isDirectory()) walk(file);
      else if (stat.isFile()) {
        found.push(file);
        left -= stat.size;
      }
    }
  };
  walk(dir);
  return found;
}

function push() {
  const bytes = option('bytes', 1024 ** 3);
  const context = join(home, 'context');
  mkdirSync(context);
  const tar = join(context, 'root.tar');
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nADD root.tar /\n');
  const stamp = join(home, 'stamp');
  const noise = Math.floor(bytes * noiseShare);
  const list = filesFrom(process.env.BENCH_FILES ?? '/usr/lib', bytes - noise);
  const times = { slipway: [], docker: [] };
  for (let i = 0; i < runs; i++) {
    writeFileSync(stamp, randomBytes(noise));
    run(['tar', 'cf', tar, '-P', '--transform=s,^/,,', '-T', '-'], { input: [stamp, ...list].join('\n') });
    const names = ['slipway', 'docker'].map(who => `${registry}/bench/push-${who}:${process.pid}-${i}`);
    rmSync(store, { recursive: true, force: true });
    run([...slipway, 'build', '-q', '-t', names[0], context]);
    const input = openSync(tar, 'r');
    run([...docker, 'import', '-', names[1]], { stdio: [input, 'ignore', 'pipe'] });
    closeSync(input);
    times.slipway.push(run([...slipway, 'push', '-q', names[0]]));
    times.docker.push(run([...docker, 'push', '-q', names[1]]));
    run([...docker, 'rmi', '-f', names[1]]);
  }
  report(`push a layer of ${(bytes / 1e6).toFixed(0)} MB`, times);
}

/** An image of four layers that nobody has seen before, so that no layer of another image helps. */
function pull() {
  const bytes = option('pull-bytes', 1.4e9);
  const noise = Math.floor(bytes * noiseShare);
  const list = filesFrom(process.env.BENCH_FILES ?? '/usr/lib', bytes - noise);
  const context = join(home, 'pull');
  mkdirSync(context);
  const parts = [0, 1, 2, 3];
  for (const part of parts) {
    const stamp = join(home, `stamp-${part}`);
    writeFileSync(stamp, randomBytes(Math.floor(noise / parts.length)));
    const files = [stamp, ...list.filter((_, i) => i % parts.length === part)];
    const tar = join(context, `${part}.tar`);
    run(['tar', 'cf', tar, '-P', '--transform=s,^/,,', '-T', '-'], { input: files.join('\n') });
  }
  const adds = parts.map(part => `ADD ${part}.tar /\n`).join('');
  writeFileSync(join(context, 'Dockerfile'), `FROM scratch\n${adds}`);
  const image = `${registry}/bench/pull:${process.pid}`;
  run([...slipway, 'build', '-q', '-t', image, '--push', context]);
  const times = { slipway: [], docker: [] };
  for (let i = 0; i < runs; i++) {
    rmSync(store, { recursive: true, force: true });
    times.slipway.push(run([...slipway, 'pull', '-q', image]));
    times.docker.push(run([...docker, 'pull', '-q', image]));
    run([...docker, 'rmi', '-f', image]);
  }
  report(`pull ${(bytes / 1e6).toFixed(0)} MB of files, packed`, times);
}

try {
  if (words.length === 0 || words.includes('push')) push();
  if (words.length === 0 || words.includes('pull')) pull();
} finally {
  rmSync(home, { recursive: true, force: true });
}
