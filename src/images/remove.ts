// Taking names away, and images with their last name, as `docker rmi` does it.
import { BuildError, printable } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { collectGarbage } from '../store/gc.ts';
import type { NamedImage, Store } from '../store/store.ts';
import { isByDigest, type LocalImage, listLocalImages, repositoryOf } from './catalog.ts';
import { chainIds } from './chain.ts';
import { type Found, findImage } from './find.ts';

/** What happened, in order; `untagged` is a name in short form, `deleted` the id of an image or chain id of a layer. */
export type Removal =
  | { readonly kind: 'untagged'; readonly name: string }
  | { readonly kind: 'deleted'; readonly id: Digest };

/**
 * A name: takes it away, and the image when that was the last. An id: removes the image with its names.
 * Blobs stay on disk until {@link freeSpace}.
 * @throws BuildError `not-found`, `usage` for an id with names of several repositories unless `force`
 */
export async function removeImage(store: Store, text: string, force: boolean): Promise<Removal[]> {
  const images = await listLocalImages(store);
  const unreadable = await removeUnreadable(store, images, text);
  if (unreadable) return unreadable;
  const found = findImage(images, text);
  const gone = found.name ? leavingWith(found.name, found.image) : allNames(found, text, force);
  const removals: Removal[] = [];
  for (const { name } of gone) {
    await store.names.delete(name);
    removals.push({ kind: 'untagged', name: familiarReference(parseReference(name)) });
  }
  if (gone.length < found.image.names.length) return removals;
  return [...removals, ...(await forget(store, found.image, images))];
}

/** An image that lost its last name. @param images all there were */
export async function forget(
  store: Store,
  image: LocalImage,
  images: readonly LocalImage[],
): Promise<Removal[]> {
  for (const digest of image.untagged) await store.names.drop(digest);
  const others = images.filter(other => other.id !== image.id);
  const kept = new Set(others.flatMap(other => chainIds(other.config.diffIds)));
  const layers = chainIds(image.config.diffIds).filter(id => !kept.has(id));
  return [image.id, ...layers.reverse()].map(id => ({ kind: 'deleted', id }));
}

/** Removes the blobs that nothing needs any more; what was used within the last seconds stays until the next time. */
export async function freeSpace(store: Store): Promise<number> {
  return (await collectGarbage(store, { dryRun: false, patient: false })).freedBytes;
}

/** With the last tag of a repository go the digests that the image was pulled under from there. */
function leavingWith(name: NamedImage, image: LocalImage): NamedImage[] {
  const repository = repositoryOf(name);
  const others = image.names.filter(other => other.name !== name.name && repositoryOf(other) === repository);
  return others.every(isByDigest) ? [name, ...others] : [name];
}

function allNames({ image }: Found, text: string, force: boolean): readonly NamedImage[] {
  const tags = image.names.filter(named => !isByDigest(named));
  const repositories = new Set(image.names.map(repositoryOf));
  if (!force && (tags.length > 1 || repositories.size > 1)) {
    const names = image.names.map(({ name }) => familiarReference(parseReference(name)));
    throw new BuildError('usage', `the image ${printable(text)} has several names`, {
      hint: `it is ${names.join(', ')}; remove them one by one, or all with --force`,
      facts: { image: image.id },
    });
  }
  return image.names;
}

/** A damaged image is in no list, yet its name must go. */
async function removeUnreadable(
  store: Store,
  images: readonly LocalImage[],
  text: string,
): Promise<Removal[] | undefined> {
  let name: string;
  try {
    name = formatReference(withDefaultTag(parseReference(text)));
  } catch {
    return undefined;
  }
  if (!store.names.get(name) || images.some(image => image.names.some(named => named.name === name)))
    return undefined;
  await store.names.delete(name);
  return [{ kind: 'untagged', name: familiarReference(parseReference(name)) }];
}
