// Unpacked layers that somebody changed: files that are gone, cut off, longer, added, or something else. What is built on
// them, copied from them or packed from them is what it would have been, with one warning.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildImage, writeContext } from '../support/images.ts';
import { must } from '../support/program.ts';
import { withBases } from '../support/with-bases.ts';

const { slipway } = await withBases();

const epoch = { env: { SOURCE_DATE_EPOCH: '1700000000' } };
const first = 'FROM busybox AS first\nRUN mkdir /d && seq 3000 > /d/made\n';
/** What reads the trees of the first build: a command on top, a copy out of a stage, packing. */
const readers: Record<string, string> = {
  'a command on top': `${first}RUN wc -c < /d/made > /size; cat /etc/passwd > /passwd\n`,
  'a copy out of a stage': `${first}FROM scratch\nCOPY --from=first /d /d\n`,
  packing: first,
};

const damages: Record<string, (path: string) => void> = {
  'a file that is gone': path => rmSync(path),
  'a file that is cut off': path => truncateSync(path, 7),
  'a longer file': path => appendFileSync(path, 'more\n'),
  'other content': path => {
    writeFileSync(path, 'x'.repeat(13_893));
    utimesSync(path, 1_600_000_000, 1_600_000_000);
  },
  'another mode': path => chmodSync(path, 0o4755),
  'a directory in its place': path => {
    rmSync(path);
    mkdirSync(path);
  },
  'a link in its place': path => {
    rmSync(path);
    symlinkSync('/etc/passwd', path);
  },
  'a pipe in its place': path => {
    rmSync(path);
    execPipe(path);
  },
  'one more file': path => writeFileSync(`${path}.more`, ''),
};

function execPipe(path: string): void {
  const { status } = spawnSync('mkfifo', [path]);
  assert.equal(status, 0);
}

/** The tree that holds `path`. */
function inTree(path: string): string {
  const trees = join(slipway.store, 'trees');
  const id = readdirSync(trees).find(each => existsSync(join(trees, each, 'fs', path)));
  assert.ok(id, `no tree has ${path}`);
  return join(trees, id, 'fs', path);
}

const digestsOf = async (dockerfile: string) => {
  const dir = writeContext(slipway, { Dockerfile: dockerfile });
  const { manifest, stderr } = await buildImage(slipway, [dir], epoch);
  return { digests: manifest.layers.map(layer => layer.digest), stderr };
};

test('whatever is changed in an unpacked layer is noticed and made again', { timeout: 300_000 }, async () => {
  const whole = join(slipway.dir, 'whole');
  // Of a stage that is only copied from no tar is made, so its files are in the tree alone.
  const dir = writeContext(slipway, { Dockerfile: `${first}FROM scratch\nCOPY --from=first /d/made /\n` });
  await slipway.must(['build', '-q', '-o', 'type=cacheonly', dir], epoch);
  await must(['cp', '-a', slipway.store, whole]);
  const restore = async () => {
    rmSync(slipway.store, { recursive: true, force: true });
    await must(['cp', '-a', whole, slipway.store]);
  };
  const names = Object.keys(readers);
  const expected = new Map<string, readonly string[]>();
  for (const [name, dockerfile] of Object.entries(readers)) {
    await restore();
    const { digests, stderr } = await digestsOf(dockerfile);
    assert.doesNotMatch(stderr, /warning/, `${name}: a copied store is the same store`);
    expected.set(name, digests);
  }
  for (const [i, [what, damage]] of Object.entries(damages).entries()) {
    // Each damage meets one of the readers, each reader several damages; the base's tree is read by a command only.
    const reader = names[i % names.length] ?? '';
    await restore();
    damage(inTree('d/made'));
    const { digests, stderr } = await digestsOf(readers[reader] ?? '');
    assert.deepEqual(digests, expected.get(reader), `${what}, ${reader}`);
    assert.equal(stderr.match(/^warning: /gm)?.length, 1, `${what}, ${reader}: ${stderr}`);
  }
  await restore();
  truncateSync(inTree('etc/passwd'), 3);
  const { digests, stderr } = await digestsOf(readers['a command on top'] ?? '');
  assert.deepEqual(digests, expected.get('a command on top'));
  assert.match(stderr, /^warning: the unpacked layer [0-9a-f]+ in the store is not what it was/m);
});
