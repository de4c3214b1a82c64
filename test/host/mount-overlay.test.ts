// Overlays by either of the kernel's interfaces.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { unmount } from '../../src/host/mount.ts';
import { mountOverlay } from '../../src/host/mount-overlay.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { tempDir } from '../support/rootfs.ts';

enterMountNamespace();

for (const by of ['steps', 'line'] as const) {
  describe(`overlays mounted by ${by}`, () => {
    const make = (dir: string, count: number, name: (i: number) => string) =>
      Array.from({ length: count }, (_, i) => {
        const layer = join(dir, name(i));
        mkdirSync(layer, { recursive: true });
        writeFileSync(join(layer, `file${i}`), `${i}`);
        writeFileSync(join(layer, 'last'), `${i}`);
        return layer;
      });

    const mount = (dir: string, lowers: readonly string[]) => {
      const [target, work, upper] = [join(dir, 'target'), join(dir, 'work'), join(dir, 'upper')];
      for (const each of [target, work, upper]) mkdirSync(each);
      mountOverlay({ lowers, upper: { dir: upper, work }, target, scratch: dir, by });
      return { target, upper, [Symbol.dispose]: () => unmount(target) };
    };

    test('500 layers', () => {
      using temp = tempDir();
      using mounted = mount(
        temp.path,
        make(temp.path, 500, i => `layer${i}`),
      );
      assert.equal(readdirSync(mounted.target).length, 501);
      assert.equal(readFileSync(join(mounted.target, 'last'), 'utf8'), '499');
    });

    test('600 layers, in two levels', () => {
      using temp = tempDir();
      using mounted = mount(
        temp.path,
        make(temp.path, 600, i => `layer${i}`),
      );
      assert.equal(readdirSync(mounted.target).length, 601);
    });

    test('a layer that comes again counts where it is on top', () => {
      using temp = tempDir();
      const [first = '', second = ''] = make(temp.path, 2, i => `layer${i}`);
      using mounted = mount(temp.path, [first, second, first]);
      assert.deepEqual(readdirSync(mounted.target).sort(), ['file0', 'file1', 'last']);
      assert.equal(readFileSync(join(mounted.target, 'last'), 'utf8'), '0');
    });

    test('paths longer than 255 bytes, and with characters that mean something in an option line', () => {
      using temp = tempDir();
      const odd = (i: number) => `${'deep/'.repeat(60)}a,b:c\\d=e "f" é${i}`;
      using mounted = mount(temp.path, make(temp.path, 3, odd));
      assert.deepEqual(readdirSync(mounted.target).sort(), ['file0', 'file1', 'file2', 'last']);
      writeFileSync(join(mounted.target, 'file0'), 'changed');
      assert.deepEqual(readdirSync(mounted.upper), ['file0']);
    });

    test('a directory renamed on top becomes plain files, not a redirect', () => {
      using temp = tempDir();
      const [layer] = make(temp.path, 1, i => `layer${i}`);
      mkdirSync(join(layer ?? '', 'dir'));
      using mounted = mount(temp.path, [layer ?? '']);
      assert.throws(() => renameSync(join(mounted.target, 'dir'), join(mounted.target, 'moved')), {
        code: 'EXDEV',
      });
    });

    test('a layer that is not there is named', () => {
      using temp = tempDir();
      const missing = join(temp.path, 'missing');
      assert.throws(() => mount(temp.path, [missing]), /ENOENT|no such file/);
    });

    test('nothing is left in the scratch directory', () => {
      using temp = tempDir();
      const layers = make(temp.path, 520, i => `layers/${i}`);
      mount(temp.path, layers)[Symbol.dispose]();
      assert.deepEqual(readdirSync(temp.path).sort(), ['layers', 'target', 'upper', 'work']);
    });
  });
}
