// What a damaged store does to a build: every file of a small one in turn has a bit flipped, is cut off, or is gone. The
// next build gives the same image or says what is wrong; never another image.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { type Ended, must, type Program, program } from '../support/program.ts';

let registry: BaseRegistry;

before(async () => {
  registry = await startRegistry();
});

after(() => registry?.stop());

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

test('no damaged file of a store changes an image', { timeout: 400_000 }, async () => {
  using slipway = program({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });
  const dir = project(slipway);
  const expected = await build(slipway, dir);
  assert.equal(typeof expected, 'string', JSON.stringify(expected));
  const whole = join(slipway.dir, 'whole');
  await must(['cp', '-a', slipway.store, whole]);
  const problems: string[] = [];
  for (const path of sampled(filesIn(whole))) {
    for (const [what, damage] of Object.entries(damages)) {
      if (lstatSync(join(whole, path)).size === 0 && what !== 'no file') continue;
      rmSync(slipway.store, { recursive: true, force: true });
      await must(['cp', '-a', whole, slipway.store]);
      damage(join(slipway.store, path));
      const result = await build(slipway, dir);
      if (result === expected) continue;
      if (typeof result === 'string') problems.push(`${path}, ${what}: another image`);
      else if (result.status !== 1)
        problems.push(`${path}, ${what}: status ${result.status}\n${result.stderr}`);
      else if (!path.endsWith('slipway.json')) {
        problems.push(`${path}, ${what}: not healed\n${result.stderr}`);
      }
    }
  }
  assert.deepEqual(problems, []);
});
