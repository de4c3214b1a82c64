// What slipway promises about itself: an unchanged build against node's own start and against `find` over the same
// files, its peak memory, and a store with 100,000 records against one with few.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { open } from 'lmdb';

const median = values => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

/** @returns seconds, median of `runs` */
function time(argv, runs) {
  const times = [];
  for (let i = 0; i < runs; i++) {
    const started = process.hrtime.bigint();
    const { status, stderr } = spawnSync(argv[0], argv.slice(1), {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    times.push(Number(process.hrtime.bigint() - started) / 1e9);
    if (status !== 0) throw new Error(`${argv.join(' ')}\n${stderr}`);
  }
  return median(times);
}

/** @returns most bytes in memory at once */
function peakBytes(home, argv) {
  const report = join(home, 'peak');
  const hook = join(home, 'peak.cjs');
  writeFileSync(
    hook,
    `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(report)}, String(process.resourceUsage().maxRSS)));`,
  );
  spawnSync(argv[0], ['--require', hook, ...argv.slice(1)], { stdio: 'ignore' });
  return Number(readFileSync(report, 'utf8')) * 1024;
}

/** Records as cache/records.ts writes them, of steps that nobody will ask for. */
async function fillRecords(store, count) {
  const db = open({ path: join(store, 'meta'), encoding: 'string', cache: false });
  const parts = Array.from({ length: 20 }, (_, i) => ({ name: `env NAME_${i}`, value: 'x'.repeat(20) }));
  for (let i = 0; i < count; i++) {
    const digest = `sha256:${createHash('sha256').update(String(i)).digest('hex')}`;
    const json = JSON.stringify({
      layer: null,
      createdAt: new Date().toISOString(),
      durationMs: 1,
      display: `RUN ${i}`,
      parts,
    });
    db.put(`records/${digest}`, crc32(json).toString(16).padStart(8, '0') + json);
  }
  await db.flushed;
  await db.close();
  spawnSync('sync'); // so that the next build does not wait for this to reach the disk
}

function files(home, name, dockerfile, count) {
  const dir = join(home, name);
  for (let i = 0; i < 100; i++) mkdirSync(join(dir, `d${i}`), { recursive: true });
  for (let i = 0; i < count; i++) writeFileSync(join(dir, `d${i % 100}`, `f${i}`), `file ${i}\n`);
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  return dir;
}

/** Bound in milliseconds by value of --isolation. */
const stepBounds = { oci: 60, namespace: 40 };
const steps = 20;

function table() {
  const rows = [];
  const row = (name, value, bound, unit) => {
    rows.push({ name, value, bound, unit });
    const verdict = value <= bound ? 'kept' : 'EXCEEDED';
    console.log(`${name.padEnd(44)} ${value.toFixed(2)} ${unit} (bound ${bound} ${unit}, ${verdict})`);
  };
  return { rows, row };
}

/**
 * What one `RUN true` takes beyond the command itself: the difference between many of them and one, for each.
 * @param base an image with a shell that can be pulled
 * @returns rows with what was measured and the bound
 */
export function measureSteps(home, slipway, base, runs) {
  const { rows, row } = table();
  const context = (name, count) => {
    const lines = Array.from({ length: count }, (_, i) => `RUN true ${i}`);
    return files(home, name, `FROM ${base}\n${lines.join('\n')}\n`, 0);
  };
  const [one, many] = [context('run-one', 1), context('run-many', 1 + steps)];
  const command = time(['sh', '-c', 'true'], runs * 5);
  for (const [isolation, bound] of Object.entries(stepBounds)) {
    const build = dir => [...slipway, 'build', '-q', '--no-cache', `--isolation=${isolation}`, dir];
    try {
      time(build(one), 1);
    } catch (error) {
      console.error(`RUN true with ${isolation}: ${error.message.split('\n')[1]}`);
      continue;
    }
    const each = (time(build(many), runs) - time(build(one), runs)) / steps - command;
    row(`RUN true, warm, with ${isolation}`, each * 1000, bound, 'ms');
  }
  return rows;
}

/**
 * @param home a directory for what is built
 * @param slipway command line that uses a store
 * @returns rows with what was measured and the bound
 */
export async function measureBounds(home, slipway, store, runs) {
  const { rows, row } = table();
  const build = dir => [...slipway, 'build', '-q', dir];
  const three = files(home, 'three', 'FROM scratch\nWORKDIR /app\nCOPY d0 ./\nCOPY d1 ./\n', 200);
  const many = files(home, 'many', 'FROM scratch\nCOPY . /\n', 100_000);
  await sleep(2500); // older than the doubt about files that changed just now
  const node = time([process.execPath, '-e', '0'], runs);
  time(build(three), 2);
  const small = time(build(three), runs);
  row('three steps, unchanged, against node -e 0', small / node, 2.5, 'times');
  time(build(many), 2);
  const find = time(['find', many, '-printf', '%p %s %T@\\n'], runs);
  row('100,000 files, unchanged, against find', (time(build(many), runs) - small) / find, 3, 'times');
  row('100,000 files, unchanged, peak memory', peakBytes(home, build(many)) / 1e6, 250, 'MB');
  await fillRecords(store, 100_000);
  time(build(three), 1);
  row('100,000 records, against few', time(build(three), runs) / small, 1.15, 'times');
  return rows;
}
