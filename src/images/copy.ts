// An image from anywhere to anywhere, its digests unchanged where the destination can hold them.

import { BuildError } from '../errors.ts';
import type { Destination } from '../export/destination.ts';
import { repackForRegistry } from '../export/repack.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Index, type Manifest, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { compressionOf } from '../image/media-type.ts';
import type { Platform } from '../image/platform.ts';
import { formatReference, parseReference, type Reference, withDefaultTag } from '../image/reference.ts';
import type { FileReference } from '../load/file-reference.ts';
import { addOrigin } from '../registry/pull.ts';
import { pushStored } from '../registry/push-stored.ts';
import { packForDocker, packStored } from './pack-stored.ts';
import { writeImageArchive, writeImageLayout } from './save.ts';
import {
  fetchLayers,
  type ImagePlace,
  manifestsBelow,
  type OpenedImage,
  openImage,
  parsePlace,
} from './source.ts';
import { parseTarget } from './tag.ts';
import type { ImageTools } from './tools.ts';

export interface CopyRequest {
  readonly from: string;
  readonly to: string;
  /** All platforms rather than one. */
  readonly all: boolean;
  readonly platform?: Platform;
  openDestination(path: string): Promise<Destination>;
}

/** @returns what stands at the destination @throws BuildError; nothing is left at the destination then */
export async function copyImage(request: CopyRequest, tools: ImageTools): Promise<Descriptor> {
  const to = destinationOf(request.to, tools.cwd);
  const source = parsePlace(request.from, tools.cwd);
  if (request.all && source.kind === 'registry') await fetchDocuments(source.reference, tools);
  const image = await openImage(request.from, tools, request.platform);
  switch (to.kind) {
    case 'local':
      return keepAs(formatReference(parseTarget(to.text)), image, request.all, tools);
    case 'registry':
      return push(to.reference, image, request.all, tools);
    case 'file':
      return write(to.file, image, request, tools);
  }
}

function destinationOf(text: string, cwd: string): ImagePlace {
  const place = parsePlace(text, cwd);
  if (place.kind === 'local') parseTarget(place.text);
  return place;
}

async function keepAs(
  name: string,
  image: OpenedImage,
  all: boolean,
  tools: ImageTools,
): Promise<Descriptor> {
  const root = all ? image.root : image.descriptor;
  for (const { manifest } of await manifestsBelow(root, tools)) await fetchLayers(manifest, tools);
  await tools.store.names.set(name, root);
  return root;
}

async function push(
  reference: Reference,
  image: OpenedImage,
  all: boolean,
  tools: ImageTools,
): Promise<Descriptor> {
  const { store, layers, source, signal } = tools;
  const plain = image.manifest.layers.some(layer => compressionOf(layer.mediaType) === 'uncompressed');
  const root =
    all || !plain
      ? all
        ? image.root
        : image.descriptor
      : await repackForRegistry(image.descriptor, store, layers, signal);
  await pushStored(await tools.registries(), store, source, root, [reference], signal);
  return root;
}

async function write(
  file: FileReference,
  image: OpenedImage,
  request: CopyRequest,
  tools: ImageTools,
): Promise<Descriptor> {
  const { select } = file;
  const names = select
    ? [nameIn(select, image)]
    : (image.askedAs ? [image.askedAs] : image.tags).map(fullName);
  if (file.kind === 'directory') {
    const packed = await packStored(image, tools, request.all);
    await writeImageLayout({ packed, names, ...(select ? { place: select } : {}) }, file.path, tools);
    return packed.root.descriptor;
  }
  await using destination = await request.openDestination(file.path);
  const packed =
    file.format === 'docker' && !request.all
      ? await packForDocker(image, tools)
      : await packStored(image, tools, request.all);
  await writeImageArchive([{ packed, names }], file.format, destination, tools);
  return packed.root.descriptor;
}

/** `oci:dir:tag` has a tag without a repository: that of the image stays, where it has one. */
function nameIn(select: string, { askedAs, tags: [first] }: OpenedImage): string {
  const known = askedAs ?? first;
  if (/[/:]/.test(select)) return fullName(select);
  const { domain, path } = parseReference(known ?? 'image');
  return formatReference(parseTarget(formatReference({ domain, path, tag: select })));
}

function fullName(text: string): string {
  return formatReference(withDefaultTag(parseReference(text)));
}

/** Index, manifests and configs of all platforms into the store; layers are fetched when they are needed. */
async function fetchDocuments(reference: Reference, tools: ImageTools): Promise<void> {
  const registries = await tools.registries();
  const { domain, path } = reference;
  const seen = new Set<Digest>();
  const visit = async (which: Reference, depth: number): Promise<void> => {
    if (depth > 4) throw new BuildError('integrity', 'an image index is nested too deeply');
    const { bytes, descriptor } = await registries.fetchManifest(which, tools.signal);
    if (bytes.length > maxManifestBytes) throw new BuildError('integrity', 'a manifest is too large');
    const document: Manifest | Index = parseManifest(bytes, descriptor.mediaType);
    await tools.store.blobs.put(bytes);
    if (document.kind === 'index') {
      for (const { digest } of document.manifests) {
        if (seen.has(digest)) continue;
        seen.add(digest);
        await visit({ domain, path, digest }, depth + 1);
      }
      return;
    }
    for (const { digest } of [document.config, ...document.layers])
      addOrigin(tools.store, digest, `${domain}/${path}`);
    await tools.source.fetch(document.config, tools.signal);
  };
  await visit(reference, 0);
}
