// Taking single platforms out of an image, as `docker rmi --platform` does it: the names then stand for an index without
// them, and for nothing when no platform is left.
import { BuildError, printable } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { digestOf } from '../image/digest.ts';
import { encodeManifest } from '../image/manifest.ts';
import { formatPlatform, type Platform } from '../image/platform.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import type { Store } from '../store/store.ts';
import { isByDigest, listLocalImages } from './catalog.ts';
import { findImage } from './find.ts';
import { type Removal, removeImage } from './remove.ts';
import { isForPlatform, readIndex } from './variants.ts';

/** Of an attestation: the manifest that it is about. */
const attested = 'vnd.docker.reference.digest';

/**
 * @param force also for an id that several names stand for
 * @throws BuildError `not-found` for a platform that the image is not for; then nothing is removed
 */
export async function removePlatforms(
  store: Store,
  text: string,
  platforms: readonly Platform[],
  force: boolean,
): Promise<Removal[]> {
  const { image, name } = findImage(await listLocalImages(store), text);
  const root = (name ?? image).descriptor;
  const index = await readIndex(store, root);
  const members = index?.manifests ?? [{ ...root, platform: image.config.platform }];
  const gone = platforms.map(platform => memberFor(platform, members, text));
  const digests = new Set(gone.map(({ digest }) => digest));
  const left = members.filter(
    ({ digest, annotations }) =>
      !digests.has(digest) && !gone.some(each => each.digest === annotations?.[attested]),
  );
  if (!index || !left.some(isForPlatform)) return removeImage(store, text, force);
  const changed = encodeManifest({ ...index, manifests: left });
  const descriptor = {
    mediaType: root.mediaType,
    digest: digestOf(changed),
    size: Buffer.byteLength(changed),
  };
  await store.blobs.put(changed);
  const removals: Removal[] = [];
  for (const named of image.names.filter(each => each.descriptor.digest === root.digest)) {
    if (name && named.name !== name.name && !isByDigest(named)) continue;
    if (isByDigest(named)) {
      // It says what the index was.
      await store.names.delete(named.name);
      removals.push({ kind: 'untagged', name: familiarReference(parseReference(named.name)) });
    } else await store.names.set(named.name, descriptor);
  }
  await store.meta.flush();
  return [...removals, ...gone.map(({ digest }) => ({ kind: 'deleted', id: digest }) as const)];
}

function memberFor(platform: Platform, members: readonly Descriptor[], text: string): Descriptor {
  const wanted = formatPlatform(platform);
  const found = members.find(member => member.platform && formatPlatform(member.platform) === wanted);
  if (found) return found;
  const offered = members.filter(isForPlatform).flatMap(each => (each.platform ? [each.platform] : []));
  throw new BuildError('not-found', `the image ${printable(text)} has no variant for ${wanted}`, {
    hint: `it has ${offered.map(formatPlatform).join(', ')}`,
  });
}
