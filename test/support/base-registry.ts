// The base images for the tests of one file: their registry is started before the first test and stopped after the last.
import { after, before } from 'node:test';
import { type BaseRegistry, startRegistry } from './fixtures.ts';
import { type Program, program } from './program.ts';

export interface BaseImages extends Pick<BaseRegistry, 'address' | 'registriesConf'> {
  /** slipway with an empty store, to which docker.io is this registry. */
  slipway(): Program;
}

/** To be called once at the top of a file of tests; what it gives is there when the tests run. */
export function baseImages(): BaseImages {
  let registry: BaseRegistry | undefined;
  before(async () => {
    registry = await startRegistry();
  });
  after(() => registry?.stop());
  const running = () => {
    if (registry === undefined) throw new Error('the registry of the base images is not running yet');
    return registry;
  };
  return {
    get address() {
      return running().address;
    },
    get registriesConf() {
      return running().registriesConf;
    },
    slipway: () => program({ CONTAINERS_REGISTRIES_CONF: running().registriesConf }),
  };
}
