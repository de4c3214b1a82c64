// Images of the store to the registries of their names.

import { BuildError } from '../errors.ts';
import { repackForRegistry } from '../export/repack.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Platform } from '../image/platform.ts';
import { familiarReference, formatReference, type Reference } from '../image/reference.ts';
import { pushStored } from '../registry/push-stored.ts';
import { readImage } from '../store/images.ts';
import { isByDigest } from './catalog.ts';
import { requirePlatform } from './source.ts';
import type { ImageTools } from './tools.ts';

/** @param all every tag of the repository @returns full names @throws BuildError `not-found` when there is none */
export function namesToPush(reference: Reference, all: boolean, tools: ImageTools): string[] {
  const name = formatReference(reference);
  const repository = `${reference.domain}/${reference.path}:`;
  const names = tools.store.names
    .list()
    .filter(named => (all ? named.name.startsWith(repository) && !isByDigest(named) : named.name === name))
    .map(named => named.name);
  if (names.length > 0) return names;
  const what = all
    ? `no tag of ${reference.domain}/${reference.path}`
    : `no image ${familiarReference(reference)}`;
  throw new BuildError('not-found', `there is ${what} in the local store`, {
    hint: 'slipway images lists what there is',
  });
}

/** @returns what the tag stands for now @throws BuildError `auth`, `network`; the tag is unchanged then */
export async function pushNamed(
  reference: Reference,
  platform: Platform | undefined,
  tools: ImageTools,
): Promise<Descriptor> {
  const { store, layers, source, signal } = tools;
  const named = store.names.get(formatReference(reference));
  if (!named) throw new BuildError('not-found', `there is no image ${familiarReference(reference)}`);
  let chosen = named.descriptor;
  if (platform) {
    const { descriptor, config } = await readImage(store, named.descriptor, platform);
    requirePlatform(familiarReference(reference), config.platform, platform);
    chosen = descriptor;
  }
  const registries = await tools.registries();
  // Layers that are packed now are sent meanwhile.
  const tap = async () => registries.stream(reference, signal);
  const root = await repackForRegistry(chosen, store, layers, signal, { tap });
  await pushStored(registries, store, source, root, [reference], signal);
  const { domain, path } = reference;
  await store.names.set(formatReference({ domain, path, digest: root.digest }), root, 'registry');
  await store.meta.flush();
  return root;
}
