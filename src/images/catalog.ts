// The images of the local store as people see them: by image id (the digest of the config), with all names of each.
import { BuildError } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { hostPlatform, type Platform } from '../image/platform.ts';
import { familiarName, familiarReference, parseReference } from '../image/reference.ts';
import { readImage, type StoredImage } from '../store/images.ts';
import type { NamedImage, Store } from '../store/store.ts';

export interface LocalImage {
  readonly id: Digest;
  /** What its names stand for: a manifest, or the index that it is one platform of. */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  /** In byte order of the names; those by digest (`name@sha256:...`) come after those by tag. */
  readonly names: readonly NamedImage[];
  /** What is kept of it without a name. */
  readonly untagged: readonly Digest[];
  /** When a name was last given or it was put aside; RFC 3339. */
  readonly touchedAt: string;
}

/** All images, newest first. One that cannot be read is left out. */
export async function listLocalImages(
  store: Store,
  platform: Platform = hostPlatform(),
): Promise<LocalImage[]> {
  const found = new Map<Digest, LocalImage>();
  for (const root of [...store.names.list(), ...store.names.untagged()]) {
    const image = await readHere(store, root.descriptor, platform);
    if (!image) continue;
    const id = image.manifest.config.digest;
    const known = found.get(id);
    const names = 'name' in root ? [root as NamedImage] : [];
    const untagged = 'name' in root ? [] : [root.descriptor.digest];
    found.set(id, {
      id,
      descriptor: known?.names.length ? known.descriptor : root.descriptor,
      manifest: known?.manifest ?? image.manifest,
      config: known?.config ?? image.config,
      names: [...(known?.names ?? []), ...names].sort(byName),
      untagged: [...(known?.untagged ?? []), ...untagged],
      touchedAt: known && known.touchedAt > root.at ? known.touchedAt : root.at,
    });
  }
  return [...found.values()].sort(
    (a, b) => createdMs(b) - createdMs(a) || (firstName(a) < firstName(b) ? -1 : 1),
  );
}

function byName(a: NamedImage, b: NamedImage): number {
  return Number(isByDigest(a)) - Number(isByDigest(b)) || (a.name < b.name ? -1 : 1);
}

function firstName(image: LocalImage): string {
  return image.names[0]?.name ?? image.id;
}

/** Milliseconds since 1970; 0 for an image that does not say. */
export function createdMs({ config }: Pick<LocalImage, 'config'>): number {
  const ms = Date.parse(config.created ?? '');
  return Number.isFinite(ms) ? ms : 0;
}

/** The image for `platform`; of an index that has nothing for it, the first platform that is here. */
async function readHere(
  store: Store,
  descriptor: Descriptor,
  platform: Platform,
): Promise<StoredImage | undefined> {
  const image = await attempt(() => readImage(store, descriptor, platform));
  if (image) return image;
  const document = await attempt(async () =>
    parseManifest(await store.blobs.read(descriptor.digest, maxManifestBytes), descriptor.mediaType),
  );
  if (document?.kind !== 'index') return undefined;
  for (const child of document.manifests) {
    if (store.blobs.path(child.digest) === undefined) continue;
    const other = await attempt(() => readImage(store, child, child.platform ?? platform));
    if (other) return other;
  }
  return undefined;
}

async function attempt<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

/** `name@sha256:...` */
export function isByDigest({ name }: Pick<NamedImage, 'name'>): boolean {
  return name.includes('@');
}

/** `busybox:latest`, ... as docker prints them. */
export function tagsOf(image: Pick<LocalImage, 'names'>): string[] {
  return image.names
    .filter(named => !isByDigest(named))
    .map(named => familiarReference(parseReference(named.name)));
}

/** `busybox@sha256:...`, ... */
export function digestsOf(image: Pick<LocalImage, 'names'>): string[] {
  return image.names.filter(isByDigest).map(named => familiarReference(parseReference(named.name)));
}

/** No tag leads to it. */
export function isDangling(image: Pick<LocalImage, 'names'>): boolean {
  return image.names.every(isByDigest);
}

/** `busybox`, without tag and digest. */
export function repositoryOf({ name }: Pick<NamedImage, 'name'>): string {
  return familiarName(parseReference(name));
}
