// The platforms of an image in the store: what an index names, and how much of it is here.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Index, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { formatPlatform } from '../image/platform.ts';
import { readImage } from '../store/images.ts';
import type { Store } from '../store/store.ts';
import type { LocalImage } from './catalog.ts';
import { imageSize } from './sizes.ts';
import type { ImageTools } from './tools.ts';

export interface Variant {
  readonly platform: string;
  /** Of its manifest. */
  readonly digest: Digest;
  /** Bytes of its files; 0 when it is not here. */
  readonly size: number;
  /** Bytes of its blobs that are here. */
  readonly contentSize: number;
}

/** What a name stands for, when that is an index. @throws BuildError `integrity`, `store` */
export async function readIndex(store: Store, root: Descriptor): Promise<Index | undefined> {
  const document = parseManifest(await store.blobs.read(root.digest, maxManifestBytes), root.mediaType);
  return document.kind === 'index' ? document : undefined;
}

/** What BuildKit puts beside images: attestations, which are for no platform. */
export function isForPlatform({ platform }: Descriptor): boolean {
  return platform !== undefined && platform.os !== 'unknown';
}

/** In the order of the index; an image that is no index is its only variant. */
export async function imageVariants(image: LocalImage, tools: ImageTools): Promise<readonly Variant[]> {
  const index = await readIndex(tools.store, image.descriptor);
  const members = index?.manifests.filter(isForPlatform) ?? [
    { ...image.descriptor, platform: image.config.platform },
  ];
  return Promise.all(members.map(member => variantOf(member, tools)));
}

async function variantOf(member: Descriptor, tools: ImageTools): Promise<Variant> {
  const { store } = tools;
  const platform = member.platform ? formatPlatform(member.platform) : 'unknown';
  const nothing = { platform, digest: member.digest, size: 0, contentSize: 0 };
  if (store.blobs.path(member.digest) === undefined || !member.platform) return nothing;
  try {
    const image = await readImage(store, member, member.platform);
    const blobs = [member, image.manifest.config, ...image.manifest.layers];
    const here = blobs.filter(blob => store.blobs.path(blob.digest) !== undefined);
    const contentSize = here.reduce((sum, blob) => sum + blob.size, 0);
    return { ...nothing, size: await imageSize(image, tools), contentSize };
  } catch (error) {
    if (error instanceof BuildError) return nothing;
    throw error;
  }
}
