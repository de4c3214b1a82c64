// What every implementation of Layers must do. Runs as root: trees hold devices and trusted attributes.
import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe } from 'node:test';
import { LayersFixture, type LayersImplementation } from '../support/layers-fixture.ts';
import { adoptedLayers } from './layers-adopted.ts';
import { packedLayers, stackedLayers, treeLayers } from './layers-derived.ts';
import { writtenLayers } from './layers-written.ts';

export function layersContract(name: string, implementation: LayersImplementation): void {
  describe(name, () => {
    const at = new LayersFixture(implementation);

    before(() => {
      assert.equal(process.getuid?.(), 0, 'these tests make devices and must run as root');
    });
    beforeEach(() => at.begin());
    afterEach(() => at.end());

    writtenLayers(at);
    adoptedLayers(at);
    treeLayers(at);
    packedLayers(at);
    stackedLayers(at);
  });
}
