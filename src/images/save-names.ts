// Which images, and under which names, `save NAME` means: a repository without a tag is all its tags; an id has none.
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { isByDigest, listLocalImages } from './catalog.ts';
import { findImage } from './find.ts';
import { parsePlace } from './source.ts';
import type { ImageTools } from './tools.ts';

export interface NameToSave {
  /** For openImage. */
  readonly reference: string;
  /** Full names to write. */
  readonly kept: readonly string[];
}

/** @throws BuildError `not-found`, `usage` */
export async function namesToSave(text: string, tools: ImageTools): Promise<NameToSave[]> {
  const place = parsePlace(text, tools.cwd);
  if (place.kind === 'registry') return [{ reference: text, kept: [formatReference(place.reference)] }];
  if (place.kind === 'file') return [{ reference: text, kept: [] }];
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
