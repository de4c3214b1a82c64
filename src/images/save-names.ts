// Which images, and under which names, `save NAME` means: a repository without a tag is all its tags; an id has none.
import type { Packed } from '../export/pack.ts';
import type { Platform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { isByDigest, listLocalImages } from './catalog.ts';
import { findImage } from './find.ts';
import type { SavedImage } from './save.ts';
import { type OpenedImage, openImage, parsePlace } from './source.ts';
import type { ImageTools } from './tools.ts';

interface NameToSave {
  /** For openImage. */
  readonly reference: string;
  /** Full names to write; absent: those that the image has where it is. */
  readonly kept?: readonly string[];
}

/** Each image once, with the names that were asked for. @throws BuildError `not-found`, `usage` */
export async function collectImages(
  texts: readonly string[],
  platform: Platform | undefined,
  tools: ImageTools,
  pack: (image: OpenedImage) => Promise<Packed>,
): Promise<SavedImage[]> {
  const saved = new Map<string, SavedImage>();
  for (const text of texts) {
    for (const { reference, kept } of await namesToSave(text, tools)) {
      const image = await openImage(reference, tools, platform);
      const known = saved.get(image.id);
      const names = kept ?? image.tags.map(tag => formatReference(withDefaultTag(parseReference(tag))));
      saved.set(image.id, {
        packed: known?.packed ?? (await pack(image)),
        names: [...new Set([...(known?.names ?? []), ...names])],
      });
    }
  }
  return [...saved.values()];
}

async function namesToSave(text: string, tools: ImageTools): Promise<NameToSave[]> {
  const place = parsePlace(text, tools.cwd);
  if (place.kind === 'registry') return [{ reference: text, kept: [formatReference(place.reference)] }];
  if (place.kind === 'file') return [{ reference: text }];
  const images = await listLocalImages(tools.store);
  if (!/^[0-9a-f]{64}$/.test(text) && !text.startsWith('sha256:')) {
    const reference = parseReference(text);
    const prefix = `${formatReference({ domain: reference.domain, path: reference.path })}:`;
    const tags = images.flatMap(image =>
      image.names.filter(name => name.name.startsWith(prefix) && !isByDigest(name)),
    );
    if (!reference.tag && !reference.digest && tags.length > 0)
      return tags.map(({ name }) => ({ reference: name, kept: [name] }));
  }
  const { name } = findImage(images, text);
  const kept = name && !isByDigest(name) ? [formatReference(withDefaultTag(parseReference(name.name)))] : [];
  return [{ reference: text, kept }];
}
