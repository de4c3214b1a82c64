// A build killed at any rename, fsync or write leaves a store where the next one gives the same image, and nothing else
// is left of it. Calls are counted once, then the build is killed at a sample of them, or, which takes half an hour, at
// each: KILL_AT_EVERY_CALL=1 npm test -- cache-kill
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseImages } from '../support/base-registry.ts';
import { must, type Program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const everyCall = process.env.KILL_AT_EVERY_CALL === '1';
const timeout = everyCall ? 3_600_000 : 300_000;

const bin = join(repoRoot, 'bin/slipway.js');
const epoch = { SOURCE_DATE_EPOCH: '1700000000', UV_USE_IO_URING: '0' };

function project(slipway: Program, dockerfile: string): string {
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(join(dir, 'Dockerfile'), dockerfile);
  writeFileSync(join(dir, 'file'), 'content\n'.repeat(20_000));
  utimesSync(join(dir, 'file'), 1_600_000_000, 1_600_000_000);
  return dir;
}

const output = (slipway: Program) => join(slipway.dir, 'out.tar');
const args = (slipway: Program, dir: string) => [
  'build',
  '-q',
  '-t',
  'x',
  '-o',
  'type=image',
  '-o',
  `type=oci,dest=${output(slipway)}`,
  dir,
];

/** Runs the build under strace. @param inject as strace's option has it */
function traced(slipway: Program, dir: string, log: string, calls: string, inject: string[] = []) {
  const strace = ['strace', '-f', '-qq', '-o', log, '-e', `trace=${calls}`, ...inject];
  return run([...strace, process.execPath, bin, ...args(slipway, dir)], {
    env: { ...epoch, SLIPWAY_ROOT: slipway.store, CONTAINERS_REGISTRIES_CONF: registry.registriesConf },
  });
}

/** What is left in the places for unfinished things. */
function left(slipway: Program): string[] {
  const places = ['ingest', 'tmp', 'locks'].map(name => join(slipway.store, name));
  return places.filter(path => existsSync(path)).flatMap(path => readdirSync(path));
}

async function sweep(slipway: Program, dir: string, calls: string, samples: number): Promise<void> {
  const log = join(slipway.dir, 'trace');
  await slipway.must(['prune', '-a', '-f']);
  const forget = () => {
    rmSync(slipway.store, { recursive: true, force: true });
    rmSync(output(slipway), { force: true });
  };
  forget();
  const whole = await traced(slipway, dir, log, calls);
  assert.equal(whole.status, 0, whole.stderr);
  const expected = whole.stdout;
  const image = readFileSync(output(slipway));
  const count = readFileSync(log, 'utf8')
    .split('\n')
    .filter(line => line.includes('(')).length;
  assert.ok(count > 3, `${calls}: ${count} calls`);
  const step = everyCall ? 1 : Math.max(1, count / samples);
  for (let at = 1; at <= count; at += step) {
    const when = Math.floor(at);
    const where = `killed at ${calls} ${when} of ${count}`;
    forget();
    await traced(slipway, dir, log, calls, ['-e', `inject=${calls}:signal=SIGKILL:when=${when}`]);
    if (existsSync(output(slipway)))
      assert.ok(readFileSync(output(slipway)).equals(image), `${where}: a partial output`);
    const verified = await slipway.run(['system', 'verify']);
    assert.equal(verified.status, 0, `${where}: ${verified.stdout}${verified.stderr}`);
    const next = await slipway.must(args(slipway, dir), { env: epoch });
    assert.equal(next.stdout, expected, where);
    assert.ok(readFileSync(output(slipway)).equals(image), where);
    assert.deepEqual(left(slipway), [], where);
    assert.equal(next.stderr, '', where);
  }
}

test('a build without RUN may be killed at any call that changes the store', { timeout }, async () => {
  using slipway = registry.slipway();
  const dir = project(slipway, 'FROM scratch\nWORKDIR /app\nCOPY file ./\n');
  await sweep(slipway, dir, 'rename,renameat,renameat2', 25);
  await sweep(slipway, dir, 'fsync,fdatasync', 25);
  await sweep(slipway, dir, 'write,pwrite64,writev,pwritev', 20);
});

test('a build with RUN may be killed, and no mount of it is left', { timeout }, async () => {
  using slipway = registry.slipway();
  const dir = project(slipway, 'FROM busybox\nCOPY file /\nRUN wc -c /file > /size\n');
  await sweep(slipway, dir, 'rename,renameat,renameat2', 8);
  await sweep(slipway, dir, 'fsync,fdatasync', 5);
  assert.equal((await must(['cat', '/proc/mounts'])).includes(slipway.store), false);
});
