// What most end-to-end tests start from.
import { after } from 'node:test';
import { type BaseRegistry, startRegistry } from './fixtures.ts';
import { type Program, program } from './program.ts';

/** A registry with the bases and a program with an empty store that finds them, until the last test of a file has ended. */
export async function withBases(): Promise<{ readonly registry: BaseRegistry; readonly slipway: Program }> {
  const registry = await startRegistry();
  after(() => registry.stop());
  const slipway = program({ CONTAINERS_REGISTRIES_CONF: registry.registriesConf });
  after(() => slipway[Symbol.dispose]());
  return { registry, slipway };
}
