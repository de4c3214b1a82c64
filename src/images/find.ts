// From what a user writes to an image of the local store: a name, an id, the beginning of an id.
import { BuildError, printable } from '../errors.ts';
import { isDigest } from '../image/digest.ts';
import { formatReference, parseReference, type Reference, withDefaultTag } from '../image/reference.ts';
import type { NamedImage } from '../store/store.ts';
import type { LocalImage } from './catalog.ts';

export interface Found {
  readonly image: LocalImage;
  /** The name that was written; absent when it was an id. */
  readonly name?: NamedImage;
}

/** @throws BuildError `not-found`, or `usage` for the beginning of several ids and for what is no reference */
export function findImage(images: readonly LocalImage[], text: string): Found {
  const found = lookFor(images, text);
  if (found) return found;
  throw new BuildError('not-found', `there is no image "${printable(text)}" in the local store`, {
    hint: 'slipway images lists what there is',
    facts: { image: text },
  });
}

function lookFor(images: readonly LocalImage[], text: string): Found | undefined {
  if (isDigest(text)) {
    const image = images.find(one => one.id === text || one.descriptor.digest === text);
    return image && { image };
  }
  const prefix = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(text)?.[1];
  const reference = text.startsWith('sha256:') || prefix?.length === 64 ? undefined : parseReference(text);
  return (reference && byName(images, reference)) ?? (prefix ? byPrefix(images, prefix, text) : undefined);
}

function byName(images: readonly LocalImage[], reference: Reference): Found | undefined {
  const { digest } = reference;
  const full = formatReference(withDefaultTag(reference));
  const untagged = formatReference({ domain: reference.domain, path: reference.path });
  for (const image of images) {
    const name = image.names.find(named => named.name === full || named.name === `${untagged}@${digest}`);
    if (name) return { image, name };
  }
  // A tag of the same repository whose manifest has the digest.
  const image = images.find(
    one =>
      digest !== undefined &&
      one.names.some(named => named.name.startsWith(`${untagged}:`) && named.descriptor.digest === digest),
  );
  return image && { image };
}

function byPrefix(images: readonly LocalImage[], prefix: string, text: string): Found | undefined {
  const matching = images.filter(image => image.id.startsWith(`sha256:${prefix}`));
  const [image, another] = matching;
  if (!image) return undefined;
  if (another) {
    throw new BuildError('usage', `several image ids begin with "${printable(text)}"`, {
      hint: `write more of it: ${matching.map(one => one.id.slice(7, 7 + Math.max(12, prefix.length + 4))).join(', ')}`,
    });
  }
  return { image };
}
