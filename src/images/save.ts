// Images of the store as one archive: a whole OCI layout and, for docker, manifest.json beside it.
import { type ArchiveFile, writeArchive } from '../export/archive.ts';
import type { Destination } from '../export/destination.ts';
import { writeLayoutDirectory } from '../export/layout-directory.ts';
import { documentsOf, indexEntries, layersOf, type Packed } from '../export/pack.ts';
import { hostPlatform, platformDistance } from '../image/platform.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import { blobName } from '../store/layout-files.ts';
import { indexText, layoutText } from '../store/layout-index.ts';
import type { ImageTools } from './tools.ts';

/** An image and the names it is to have in the archive, full form. */
export interface SavedImage {
  readonly packed: Packed;
  readonly names: readonly string[];
  /** The tag or name of a layout that it takes from whatever has it. */
  readonly place?: string;
}

/** @param format `docker`: `docker load` of any age reads it @throws BuildError `output`, `store`, `interrupted` */
export async function writeImageArchive(
  images: readonly SavedImage[],
  format: 'docker' | 'oci',
  destination: Destination,
  tools: ImageTools,
): Promise<void> {
  await writeArchive(archiveFiles(images, format), destination, tools.store, tools.signal);
}

/** Adds an image to the layout in `dir`, which is made when it is not there. @throws BuildError `output`, `usage` */
export function writeImageLayout(image: SavedImage, dir: string, tools: ImageTools): Promise<void> {
  return writeLayoutDirectory(dir, image, tools.store, tools.signal);
}

function archiveFiles(images: readonly SavedImage[], format: 'docker' | 'oci'): ArchiveFile[] {
  const files = new Map<string, ArchiveFile>();
  const add = (file: ArchiveFile) => files.set(file.name, file);
  for (const { packed } of images) {
    for (const { descriptor, bytes } of documentsOf(packed))
      add({ name: blobName(descriptor.digest), text: bytes });
    for (const blob of layersOf(packed)) add({ name: blobName(blob.digest), blob });
  }
  const entries = images.flatMap(({ packed, names }) => indexEntries(packed, names));
  add({ name: 'index.json', text: indexText(entries) });
  add({ name: 'oci-layout', text: layoutText });
  if (format === 'docker') add({ name: 'manifest.json', text: JSON.stringify(images.map(dockerEntry)) });
  return [...files.values()];
}

/** One platform of each image: the format has no place for more. */
function dockerEntry({ packed, names }: SavedImage): Record<string, unknown> {
  const distance = (one: Packed['images'][number]) =>
    platformDistance(hostPlatform(), one.image.platform) ?? Number.MAX_SAFE_INTEGER;
  const [image] = [...packed.images].sort((a, b) => distance(a) - distance(b));
  const tags = names.map(parseReference).filter(reference => reference.tag && !reference.digest);
  return {
    Config: image ? blobName(image.config.descriptor.digest) : '',
    // As docker writes it: null, not an empty list.
    RepoTags: tags.length > 0 ? tags.map(familiarReference) : null,
    Layers: image?.layers.map(layer => blobName(layer.digest)) ?? [],
  };
}
