// The kernel's overlay: the contract, and as many layers as it takes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { enterMountNamespace } from '../../src/host/namespace.ts';
import { overlayDriver } from '../../src/snapshot/overlay.ts';
import { snapshotContract } from '../contracts/snapshot.ts';
import { tempDir } from '../support/rootfs.ts';

enterMountNamespace();
snapshotContract(overlayDriver());

function makeLayers(dir: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => {
    const layer = join(dir, `${i}`);
    mkdirSync(layer);
    writeFileSync(join(layer, `file${i}`), '');
    writeFileSync(join(layer, 'last'), `${i}`);
    return layer;
  });
}

for (const count of [1, 126, 127, 128, 129, 200, 499, 500, 501, 998, 999]) {
  test(`${count} layers are mounted`, async () => {
    using temp = tempDir();
    const layers = makeLayers(temp.path, count);
    const at = (name: string) => mkdtempSync(join(temp.path, name));
    const { root, close } = await overlayDriver().mount(layers, at('upper'), at('scratch'));
    assert.equal(readdirSync(root).length, count + 1);
    assert.equal(readFileSync(join(root, 'last'), 'utf8'), `${count - 1}`);
    await close();
  });
}

test('1000 layers are refused with their number, not with an errno', async () => {
  using temp = tempDir();
  const layers = makeLayers(temp.path, 1000);
  const at = (name: string) => mkdtempSync(join(temp.path, name));
  await assert.rejects(overlayDriver().mount(layers, at('upper'), at('scratch')), (error: unknown) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, 'unsupported');
    assert.match(error.message, /too many layers \(1000 > 999\)/);
    return true;
  });
});
