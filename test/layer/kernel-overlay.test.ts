import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { squashLayers } from '../../src/layer/squash.ts';
import { openLayers } from '../../src/layer/store-layers.ts';
import { makeView } from '../../src/layer/view.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { FileTree } from '../../src/tree/file-tree.ts';
import { directory, input, signal } from '../support/layers-fixture.ts';

/** Path, type, mode, size and link target of everything, as GNU find prints it. */
const find = `LC_ALL=C find . -mindepth 1 \\( -type l -printf '%P|%y|%l\\n' -o -type f -printf '%P|%y|%m|%s\\n' -o -printf '%P|%y|%m\\n' \\) | LC_ALL=C sort`;

/** The same of a view. */
function listing(view: FileTree): string[] {
  const letters = {
    file: 'f',
    hardlink: 'f',
    directory: 'd',
    symlink: 'l',
    fifo: 'p',
    char: 'c',
    block: 'b',
  };
  const lines: string[] = [];
  const visit = (path: string): void => {
    for (const name of view.list(path as never)) {
      const entry = view.lookup((path === '' ? name : `${path}/${name}`) as never);
      assert.ok(entry);
      const file = entry.type === 'hardlink' ? view.lookup(entry.linkTarget as never) : entry;
      const start = `${entry.path}|${letters[entry.type]}|`;
      if (entry.type === 'symlink') lines.push(start + entry.linkTarget);
      else if (letters[entry.type] === 'f') lines.push(`${start}${entry.mode.toString(8)}|${file?.size}`);
      else lines.push(start + entry.mode.toString(8));
      if (entry.type === 'directory') visit(entry.path);
    }
  };
  visit('');
  return lines.sort();
}

describe("what the kernel's overlay leaves behind", () => {
  let root: string;
  let store: Store;

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'slipway-overlay-'));
    store = await openStore(root);
  });
  after(async () => {
    await store.close();
    rmSync(root, { recursive: true, force: true });
  });

  it('is the same file system in a view, squashed, and unpacked again', async () => {
    const layers = openLayers(store, { fetch: async () => assert.fail('nothing to fetch') });
    const base = await layers.write(
      [
        directory('d'),
        input('d/a', { text: 'a' }),
        input('d/b', { text: 'b' }),
        directory('d/sub'),
        input('d/sub/deep', { text: 'deep' }),
        directory('e'),
        input('e/x', { text: 'x' }),
        input('e/y', { type: 'hardlink', linkTarget: 'e/x' }),
        directory('moved'),
        input('moved/in', { text: 'in' }),
        input('f', { text: 'f' }),
        input('g', { text: 'g' }),
        input('link', { type: 'symlink', linkTarget: 'd' }),
        directory('becomes-file'),
        input('becomes-file/x'),
        input('becomes-dir'),
      ],
      signal,
    );
    const lower = await layers.tree(base, signal);
    await using ingest = await store.trees.begin();
    const [work, merged] = [join(ingest.dir, 'work'), join(ingest.dir, 'merged')];
    mkdirSync(work);
    mkdirSync(merged);
    const options = `lowerdir=${lower},upperdir=${ingest.fs},workdir=${work},redirect_dir=off,metacopy=off,index=off`;
    const script = `
      set -e; mount -t overlay overlay -o ${options} ${merged}; cd ${merged}
      rm f d/a; rm -r d/sub; mkdir d/sub; echo new > d/sub/new
      chmod 600 g; echo more >> e/x; ln g g2; mkfifo pipe; ln -s nowhere dangling
      rm -r becomes-file; echo file > becomes-file; rm becomes-dir; mkdir becomes-dir; touch becomes-dir/x
      cp -a moved copied; rm -r moved; rm link; ln -s e link; chmod 1777 e
      ${find}`;
    const expected = execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'utf8' })
      .trim()
      .split('\n');
    await ingest.commit('run');
    const run = layers.fromTree('run');
    const indexes = await Promise.all([base, run].map(id => layers.index(id, signal)));
    assert.deepEqual(listing(makeView(indexes, 'a test')), expected.sort());

    const { diffId } = await layers.tar(run, signal);
    const packed = [indexes[0], await layers.index(diffId, signal)].flatMap(index => index ?? []);
    assert.deepEqual(listing(makeView(packed, 'a test')), expected);

    const flat = await layers.write(squashLayers(indexes, 0), signal);
    const tree = await layers.tree(flat, signal);
    const found = execFileSync('sh', ['-c', `cd ${tree}; ${find}`], { encoding: 'utf8' })
      .trim()
      .split('\n');
    assert.deepEqual(found.sort(), expected);
  });
});
