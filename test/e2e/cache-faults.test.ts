// What a damaged store does to a build: every file of a small one in turn has a bit flipped, is cut off, or is gone. The
// next build gives the same image or says what is wrong; never another image.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { baseImages } from '../support/base-registry.ts';
import { type Ended, must, type Program } from '../support/program.ts';

const registry = baseImages();

const epoch = { env: { SOURCE_DATE_EPOCH: '1700000000' } };

function project(slipway: Program): string {
  const dir = join(slipway.dir, 'project');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'Dockerfile'),
    'FROM busybox\nWORKDIR /app\nCOPY file ./\nRUN seq 3000 > made; seq 3000\nCOPY file /other/\n',
  );
  writeFileSync(join(dir, 'file'), 'content\n'.repeat(1000));
  utimesSync(join(dir, 'file'), 1_600_000_000, 1_600_000_000);
  return dir;
}

/** @returns sha256 of an OCI archive with compressed layers, or how the build ended */
async function build(slipway: Program, dir: string): Promise<string | Ended> {
  const dest = join(slipway.dir, 'out.tar');
  rmSync(dest, { force: true });
  const ended = await slipway.run(
    ['build', '--progress=quiet', '-t', 'x', '-o', `type=oci,dest=${dest}`, '-o', 'type=image', dir],
    epoch,
  );
  return ended.status === 0 ? createHash('sha256').update(readFileSync(dest)).digest('hex') : ended;
}

function filesIn(dir: string, prefix = ''): string[] {
  return readdirSync(join(dir, prefix), { withFileTypes: true }).flatMap(entry => {
    const path = join(prefix, entry.name);
    if (entry.isDirectory()) return filesIn(dir, path);
    return entry.isFile() ? [path] : [];
  });
}

const damages: Record<string, (path: string) => void> = {
  'a flipped bit': path => {
    const bytes = readFileSync(path);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  },
  'half of it': path => truncateSync(path, Math.floor(lstatSync(path).size / 2)),
  'nothing in it': path => truncateSync(path, 0),
  'no file': path => rmSync(path),
};

/** Something else in place of a file. @param outside a file that must stay as it is */
const replacements = (outside: string): Record<string, (path: string) => void> => ({
  'more at its end': path => appendFileSync(path, 'x'),
  'a directory': path => {
    rmSync(path);
    mkdirSync(path);
  },
  'a link to nothing': path => {
    rmSync(path);
    symlinkSync('nothing', path);
  },
  'a link to a file outside': path => {
    rmSync(path);
    symlinkSync(outside, path);
  },
  'a pipe': path => {
    rmSync(path);
    assert.equal(spawnSync('mkfifo', [path]).status, 0);
  },
});

/** Trees hold hundreds of files of the base; one of each layer stands for all. */
function sampled(files: readonly string[]): string[] {
  const seen = new Set<string>();
  return files.filter(path => {
    const tree = /^trees\/[^/]+/.exec(path)?.[0];
    if (tree === undefined) return true;
    if (seen.has(tree)) return false;
    seen.add(tree);
    return true;
  });
}

/** Builds on a copy of the store with a file damaged. @returns what is wrong with how that ended */
async function problemWith(
  slipway: Program,
  dir: string,
  { whole, expected }: { readonly whole: string; readonly expected: string },
  path: string,
  damage: (path: string) => void,
): Promise<string | undefined> {
  rmSync(slipway.store, { recursive: true, force: true });
  await must(['cp', '-a', whole, slipway.store]);
  damage(join(slipway.store, path));
  const result = await build(slipway, dir);
  if (result === expected) return undefined;
  if (typeof result === 'string') return 'another image';
  if (result.status !== 1) return `status ${result.status}\n${result.stderr}`;
  const namesIt = path.endsWith('slipway.json') && /slipway\.json|is not a slipway store/.test(result.stderr);
  return namesIt ? undefined : `not healed\n${result.stderr}`;
}

async function wholeStore(slipway: Program, dir: string) {
  const expected = await build(slipway, dir);
  if (typeof expected !== 'string') throw new Error(expected.stderr);
  const whole = join(slipway.dir, 'whole');
  await must(['cp', '-a', slipway.store, whole]);
  return { whole, expected };
}

test('no damaged file of a store changes an image', { timeout: 400_000 }, async () => {
  using slipway = registry.slipway();
  const dir = project(slipway);
  const store = await wholeStore(slipway, dir);
  const problems: string[] = [];
  for (const path of sampled(filesIn(store.whole))) {
    for (const [what, damage] of Object.entries(damages)) {
      if (lstatSync(join(store.whole, path)).size === 0 && what !== 'no file') continue;
      const problem = await problemWith(slipway, dir, store, path, damage);
      if (problem) problems.push(`${path}, ${what}: ${problem}`);
    }
  }
  assert.deepEqual(problems, []);
});

test('nor does something else in place of a file, and nothing outside of the store is written', {
  timeout: 400_000,
}, async () => {
  using slipway = registry.slipway();
  const dir = project(slipway);
  const store = await wholeStore(slipway, dir);
  const outside = join(slipway.dir, 'outside');
  const text = 'canary\n'.repeat(2000);
  writeFileSync(outside, text);
  const all = Object.entries(replacements(outside));
  const problems: string[] = [];
  for (const [i, path] of sampled(filesIn(store.whole)).entries()) {
    // The files that every command opens meet all of them, the others one each.
    const isCentral = !/^(?:blobs|trees|layers)\//.test(path);
    for (const [what, replace] of isCentral ? all : all.slice(i % all.length).slice(0, 1)) {
      const problem = await problemWith(slipway, dir, store, path, replace);
      if (problem) problems.push(`${path}, ${what}: ${problem}`);
      if (readFileSync(outside, 'utf8') !== text) problems.push(`${path}, ${what}: written through`);
      writeFileSync(outside, text);
    }
  }
  assert.deepEqual(problems, []);
});
