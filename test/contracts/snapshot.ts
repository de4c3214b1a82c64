// What every snapshot driver promises. Called by one test file for each driver.
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { errnoOf } from '../../src/errors.ts';
import { setMtime } from '../../src/host/times.ts';
import { readXattr, writeXattr } from '../../src/host/xattr.ts';
import type { SnapshotDriver } from '../../src/snapshot/driver.ts';
import { makeOpaque, makeWhiteout } from '../../src/snapshot/overlay-format.ts';
import { trimUpper } from '../../src/snapshot/trim.ts';
import { tempDir } from '../support/rootfs.ts';
import { type ShowOptions, showTree } from '../support/show-tree.ts';

/** A capability value as the kernel has it, with bytes above 0x7f: cap_setuid,cap_sys_chroot+ep. */
const capability = Buffer.from('0100000280000400000000000000000000000000', 'hex');

export interface SnapshotTraits {
  /** The times of directories that a step sees are not quite those that are collected. Default false. */
  readonly vagueDirectoryTimes?: boolean;
  /** Files belong to this user and group, and can be given to nobody else. Default: to whoever is asked for. */
  readonly ids?: readonly [number, number];
  /** Names of promises that cannot be kept here (docs/isolation.md says why). */
  readonly exceptions?: readonly string[];
}

interface Bench {
  readonly path: string;
  /** A new directory. */
  dir(name: string): string;
  /** A layer with files of the given content; a name that ends with '/' is a directory. */
  layer(name: string, files: Readonly<Record<string, string>>): string;
  mount(lowers: readonly string[], upper: string): ReturnType<SnapshotDriver['mount']>;
  readonly show: ShowOptions;
  /** Gives a file away where that can be. @returns to whom */
  give(path: string, uid: number, gid: number): readonly [number, number];
  [Symbol.dispose](): void;
}

function bench(driver: SnapshotDriver, traits: SnapshotTraits): Bench {
  const temp = tempDir();
  let mounts = 0;
  const dir = (name: string) => {
    const path = join(temp.path, name);
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
    return path;
  };
  return {
    path: temp.path,
    show: { withoutDirectoryTimes: traits.vagueDirectoryTimes === true },
    dir,
    layer(name, files) {
      const root = dir(name);
      for (const [path, content] of Object.entries(files)) {
        const at = join(root, path);
        mkdirSync(join(at, path.endsWith('/') ? '.' : '..'), { recursive: true });
        if (!path.endsWith('/')) writeFileSync(at, content);
      }
      return root;
    },
    give(path, uid, gid) {
      const ids = traits.ids ?? ([uid, gid] as const);
      chownSync(path, ...ids);
      return ids;
    },
    mount: (lowers, upper) => driver.mount(lowers, upper, dir(`scratch${mounts++}`)),
    [Symbol.dispose]: () => temp[Symbol.dispose](),
  };
}

/** Makes changes in a snapshot, and expects the layers with the collected changes on top to show the same tree. */
async function expectSameAgain(b: Bench, lowers: readonly string[], change: (root: string) => void) {
  const upper = b.dir('upper');
  const snapshot = await b.mount(lowers, upper);
  change(snapshot.root);
  const shown = showTree(snapshot.root, b.show);
  await snapshot.close();
  const again = await b.mount([...lowers, upper], b.dir('upper-again'));
  try {
    assert.deepEqual(showTree(again.root, b.show), shown);
  } finally {
    await again.close();
  }
  return upper;
}

export function snapshotContract(driver: SnapshotDriver, traits: SnapshotTraits = {}): void {
  const left = new Set(traits.exceptions);
  const within: Within = (name, body) => {
    if (left.delete(name)) return;
    test(name, async () => {
      using b = bench(driver, traits);
      await body(b);
    });
  };

  describe(`snapshots by ${driver.name}`, () => {
    reading(within);
    changing(within);
    trimming(within);
    assert.deepEqual([...left], [], 'an exception names no promise');
  });
}

type Within = (name: string, body: (b: Bench) => Promise<void>) => void;

function reading(within: Within): void {
  within('show upper layers over lower ones', async b => {
    const low = b.layer('1', { 'etc/a': 'low', 'etc/b': 'low' });
    const high = b.layer('2', { 'etc/b': 'high', 'etc/c': 'high' });
    const { root, close } = await b.mount([low, high], b.dir('upper'));
    const read = (name: string) => readFileSync(join(root, 'etc', name), 'utf8');
    assert.deepEqual(['a', 'b', 'c'].map(read), ['low', 'high', 'high']);
    await close();
  });

  within('hide what whiteouts and opaque directories hide', async b => {
    const low = b.layer('1', { 'a/x': '', 'a/y': '', 'b/x': '', c: '' });
    const high = b.layer('2', { 'b/new': '', 'a/': '' });
    makeWhiteout(Buffer.from(join(high, 'a/x')));
    makeWhiteout(Buffer.from(join(high, 'c')));
    makeOpaque(Buffer.from(join(high, 'b')));
    const { root, close } = await b.mount([low, high], b.dir('upper'));
    assert.deepEqual(readdirSync(root).sort(), ['a', 'b']);
    assert.deepEqual(readdirSync(join(root, 'a')), ['y']);
    assert.deepEqual(readdirSync(join(root, 'b')), ['new']);
    await close();
  });

  within('give the root mode 0755, and the owner and time of the uppermost layer', async b => {
    const layer = b.layer('1', { file: '' });
    const ids = b.give(layer, 12, 34);
    chmodSync(layer, 0o1710);
    setMtime(layer, 1_000_000_007n);
    const { root, close } = await b.mount([b.layer('0', {}), layer], b.dir('upper'));
    const { mode, uid, gid, mtimeNs } = lstatSync(root, { bigint: true });
    assert.deepEqual([mode & 0o7777n, uid, gid, mtimeNs], [0o755n, ...ids.map(BigInt), 1_000_000_007n]);
    await close();
  });

  within('work without any layer below', async b => {
    const upper = await expectSameAgain(b, [], root => writeFileSync(join(root, 'first'), '1'));
    assert.deepEqual(readdirSync(upper), ['first']);
  });

  within('take a hundred layers in deep directories', async b => {
    const deep = `${'long-directory-name-'.repeat(10)}/${'and-another-one-'.repeat(10)}`;
    const layers = Array.from({ length: 100 }, (_, i) =>
      b.layer(`${deep}/${i}`, { [`f${i}`]: '', last: `${i}` }),
    );
    const { root, close } = await b.mount(layers, b.dir('upper'));
    assert.equal(readdirSync(root).length, 101);
    assert.equal(readFileSync(join(root, 'last'), 'utf8'), '99');
    await close();
  });

  within('leave nothing behind in the scratch directory, and close twice', async b => {
    const snapshot = await b.mount([b.layer('1', { a: '' })], b.dir('upper'));
    await snapshot.close();
    await snapshot.close();
    assert.deepEqual(readdirSync(join(b.path, 'scratch0')), []);
  });
}

function changing(within: Within): void {
  const base = {
    'etc/passwd': 'root',
    'etc/gone': '',
    'dir/a': 'a',
    'dir/sub/b': 'b',
    'other/c': 'c',
    tool: 'x',
  };

  within('collect new, changed, renamed and deleted files', async b => {
    const upper = await expectSameAgain(b, [b.layer('1', base)], root => {
      writeFileSync(join(root, 'etc/new'), 'new');
      writeFileSync(join(root, 'etc/passwd'), 'ROOT');
      rmSync(join(root, 'etc/gone'));
      renameSync(join(root, 'tool'), join(root, 'etc/tool'));
    });
    assert.deepEqual(readdirSync(upper).sort(), ['etc', 'tool']);
    assert.equal(lstatSync(join(upper, 'tool')).isCharacterDevice(), true);
  });

  within('collect a directory made anew in place of another', async b => {
    await expectSameAgain(b, [b.layer('1', base)], root => {
      rmSync(join(root, 'dir'), { recursive: true });
      mkdirSync(join(root, 'dir'));
      writeFileSync(join(root, 'dir/only'), '');
    });
  });

  within('collect changes of type: directory to file, file to directory, file to link', async b => {
    await expectSameAgain(b, [b.layer('1', base)], root => {
      rmSync(join(root, 'dir'), { recursive: true });
      writeFileSync(join(root, 'dir'), 'now a file');
      rmSync(join(root, 'tool'));
      mkdirSync(join(root, 'tool/deep'), { recursive: true });
      rmSync(join(root, 'etc/passwd'));
      symlinkSync('/nowhere', join(root, 'etc/passwd'));
    });
  });

  within('collect changes of mode, owner, time and attributes alone', async b => {
    const upper = await expectSameAgain(b, [b.layer('1', base)], root => {
      chmodSync(join(root, 'etc/passwd'), 0o4711);
      b.give(join(root, 'dir'), 7, 8);
      utimesSync(join(root, 'other/c'), 1, 1);
      writeXattr(join(root, 'tool'), 'security.capability', capability);
    });
    assert.deepEqual(readXattr(join(upper, 'tool'), 'security.capability'), capability);
    assert.equal(lstatSync(join(upper, 'etc/passwd')).mode & 0o7777, 0o4711);
  });

  within('see a change of content that keeps size and times', async b => {
    const layer = b.layer('1', { 'bin/tool': 'good' });
    setMtime(join(layer, 'bin/tool'), 5n);
    const upper = await expectSameAgain(b, [layer], root => {
      writeFileSync(join(root, 'bin/tool'), 'evil');
      setMtime(join(root, 'bin/tool'), 5n);
    });
    assert.equal(readFileSync(join(upper, 'bin/tool'), 'utf8'), 'evil');
  });

  within('keep capabilities, setuid bits and old times of what is below', async b => {
    const layer = b.layer('1', { su: '#!', ping: '#!', old: '' });
    b.give(join(layer, 'su'), 5, 6);
    chmodSync(join(layer, 'su'), 0o6755);
    writeXattr(join(layer, 'ping'), 'security.capability', capability);
    setMtime(join(layer, 'old'), -1_500_000_001n);
    const { root, close } = await b.mount([layer], b.dir('upper'));
    assert.deepEqual(showTree(root), showTree(layer));
    await close();
  });

  within('keep hard links one file', async b => {
    const layer = b.layer('1', { a: 'content' });
    linkSync(join(layer, 'a'), join(layer, 'b'));
    await expectSameAgain(b, [layer], root => {
      writeFileSync(join(root, 'new1'), 'new');
      linkSync(join(root, 'new1'), join(root, 'new2'));
    });
  });

  within('keep nothing linked to what is outside, where that can be linked at all', async b => {
    const outside = join(b.dir('outside'), 'cached');
    writeFileSync(outside, 'cached');
    const change = (root: string) => {
      try {
        linkSync(outside, join(root, 'one'));
        linkSync(join(root, 'one'), join(root, 'two'));
      } catch (error) {
        assert.equal(errnoOf(error), 'EXDEV');
        for (const name of ['one', 'two']) writeFileSync(join(root, name), 'cached');
      }
    };
    const upper = b.dir('upper');
    const snapshot = await b.mount([b.layer('1', base)], upper);
    change(snapshot.root);
    await snapshot.close();
    writeFileSync(outside, 'poison');
    for (const name of ['one', 'two']) assert.equal(readFileSync(join(upper, name), 'utf8'), 'cached');
  });

  within('keep names that are not UTF-8', async b => {
    const layer = b.layer('1', { d: '' });
    writeFileSync(Buffer.from(`${layer}/\xe9\xff`, 'latin1'), 'below');
    const upper = await expectSameAgain(b, [layer], root => {
      writeFileSync(Buffer.from(`${root}/\xfe`, 'latin1'), 'above');
      writeFileSync(Buffer.from(`${root}/\xe9\xff`, 'latin1'), 'changed');
    });
    assert.deepEqual(readdirSync(upper, 'latin1').sort(), ['\xe9\xff', '\xfe']);
  });
}

function trimming(within: Within): void {
  within('leave an empty upper directory when nothing changed', async b => {
    const layer = b.layer('1', { 'etc/deep/file': '', 'var/x': '' });
    const upper = b.dir('upper');
    const snapshot = await b.mount([layer], upper);
    const etc = join(snapshot.root, 'etc/deep');
    const before = lstatSync(etc, { bigint: true }).mtimeNs;
    writeFileSync(join(etc, 'stub'), '');
    rmSync(join(etc, 'stub'));
    setMtime(etc, before);
    await snapshot.close();
    trimUpper(upper, [layer]);
    assert.deepEqual(readdirSync(upper), []);
  });

  within('keep a directory whose mode alone was changed, and one that is new', async b => {
    const layer = b.layer('1', { 'etc/file': '', 'var/x': '' });
    const upper = b.dir('upper');
    const snapshot = await b.mount([layer], upper);
    chmodSync(join(snapshot.root, 'var'), 0o700);
    mkdirSync(join(snapshot.root, 'new'));
    await snapshot.close();
    trimUpper(upper, [layer]);
    assert.deepEqual(readdirSync(upper).sort(), ['new', 'var']);
  });
}
