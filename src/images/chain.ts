// Chain ids (OCI image-spec, config.md#layer-chainid): a layer together with everything below it.
import { type DiffId, type Digest, digestOf } from '../image/digest.ts';

/** One for each layer, lowest first. */
export function chainIds(diffIds: readonly DiffId[]): Digest[] {
  const chain: Digest[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below ? digestOf(`${below} ${diffId}`) : diffId);
  }
  return chain;
}
