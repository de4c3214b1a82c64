// The layers of an image, top last, with the names that each is the top of (as `podman image tree` shows them).
import { type Digest, shortId } from '../image/digest.ts';
import { type LocalImage, tagsOf } from './catalog.ts';
import { chainIds } from './chain.ts';
import { layerSizes } from './sizes.ts';
import type { OpenedImage } from './source.ts';
import type { ImageTools } from './tools.ts';

export interface TreeLayer {
  readonly id: Digest;
  readonly size: number;
  /** Names of the images of the local store that end with this layer. */
  readonly topOf: readonly string[];
}

/** Lowest first. @param images all of the local store */
export async function layerTree(
  image: OpenedImage,
  images: readonly LocalImage[],
  tools: ImageTools,
): Promise<TreeLayer[]> {
  const tops = new Map<Digest | undefined, string[]>();
  for (const one of images) {
    const top = chainIds(one.config.diffIds).at(-1);
    const names = tagsOf(one);
    tops.set(top, [...(tops.get(top) ?? []), ...(names.length > 0 ? names : [shortId(one.id)])]);
  }
  const sizes = await layerSizes(image, tools);
  return chainIds(image.config.diffIds).map((chainId, i) => ({
    id: image.config.diffIds[i] ?? chainId,
    size: sizes[i] ?? 0,
    topOf: tops.get(chainId) ?? [],
  }));
}
