// Giving an image one more name.
import { BuildError } from '../errors.ts';
import { formatReference, parseReference, type Reference, withDefaultTag } from '../image/reference.ts';
import { fetchLayers, openImage } from './source.ts';
import type { ImageTools } from './tools.ts';

/** @throws BuildError `usage` for what cannot be a tag */
export function parseTarget(text: string): Reference {
  const target = parseReference(text);
  if (target.digest) {
    throw new BuildError('usage', 'a tag cannot have a digest: that says what it stands for already', {
      hint: 'leave out @sha256:...',
    });
  }
  return withDefaultTag(target);
}

/** @throws BuildError `not-found`, `usage` */
export async function tagImage(source: string, target: string, tools: ImageTools): Promise<void> {
  const name = formatReference(parseTarget(target));
  const image = await openImage(source, tools);
  if (!image.local) await fetchLayers(image.manifest, tools);
  await tools.store.names.set(name, image.local ? image.root : image.descriptor);
}
