// An image from its registry into the store under its names: its tag, and its digest in that repository.
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { formatReference, type Reference } from '../image/reference.ts';
import { pullImage } from '../registry/pull.ts';
import { fetchLayers } from './source.ts';
import type { ImageTools } from './tools.ts';

export interface Pulled {
  /** Full form; by digest when the reference has one, as docker keeps it. */
  readonly name: string;
  /** Of what the tag stands for in the registry. */
  readonly digest: Digest;
  /** It was not what the name stood for already. */
  readonly isNew: boolean;
  /** Of the image: another than asked for when the registry has only that one. */
  readonly platform: Platform;
}

/**
 * @param pinned what is fetched under the reference's names, whatever its tag stands for by now
 * @throws BuildError `not-found`, `auth`, `network`, ...; no name changes then
 */
export async function pullInto(
  reference: Reference,
  platform: Platform,
  tools: ImageTools,
  pinned = reference.digest,
): Promise<Pulled> {
  const { store, signal } = tools;
  const { domain, path, tag } = reference;
  const asked = pinned ? { domain, path, digest: pinned } : reference;
  const image = await pullImage(await tools.registries(), store, asked, platform, signal);
  await fetchLayers(image.manifest, tools);
  const byDigest = formatReference({ domain, path, digest: reference.digest ?? image.top.digest });
  const name = reference.digest ? byDigest : formatReference({ domain, path, ...(tag ? { tag } : {}) });
  const isNew = store.names.get(name)?.descriptor.digest !== image.descriptor.digest;
  await store.names.set(byDigest, image.descriptor, 'registry');
  if (name !== byDigest) await store.names.set(name, image.descriptor, 'registry');
  return { name, digest: image.top.digest, isNew, platform: image.config.platform };
}
