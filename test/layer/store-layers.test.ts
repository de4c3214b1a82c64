import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLayers } from '../../src/layer/store-layers.ts';
import { openStore } from '../../src/store/open.ts';
import { layersContract } from '../contracts/layers.ts';

layersContract('layers on the store', {
  makeRoot: () => mkdtempSync(join(tmpdir(), 'slipway-layers-')),
  async open(root, source) {
    const store = await openStore(root);
    return { store, layers: openLayers(store, source), close: () => store.close() };
  },
  removeRoot: root => rmSync(root, { recursive: true, force: true }),
});
