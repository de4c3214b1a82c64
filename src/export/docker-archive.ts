// The archive that `docker load` reads: a whole OCI image layout, and manifest.json beside it for readers that know the
// older format (https://github.com/moby/docker-image-spec), whose paths point into the same blobs.
import { hostPlatform, platformDistance } from '../image/platform.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import { blobName } from '../store/layout-files.ts';
import { type ArchiveFile, writeArchive } from './archive.ts';
import { openDestination } from './destination.ts';
import { type ExportInput, namesOf } from './finished-image.ts';
import { layoutFiles, receipt } from './oci.ts';
import type { OutputSpec } from './output-spec.ts';
import { type Packed, type PackedImage, pack } from './pack.ts';
import type { ExportTools, Receipt } from './tools.ts';

/**
 * Of several platforms the layout has the index, as `docker save` writes it from a containerd store; the older format
 * knows one image for a name, which is this machine's, or else the first.
 * @throws BuildError `output`, `usage`, `unsupported`, `interrupted`, and what packing the layers throws
 */
export async function exportDockerArchive(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'docker' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  await using destination = await openDestination(spec.dest, tools);
  const settings = {
    options: spec,
    defaultCompression: 'uncompressed',
    refuseForeignZstd: true,
  } as const;
  const packed = await pack(input, tools.layers, settings, signal);
  const names = spec.names ?? namesOf(input);
  const files: ArchiveFile[] = [
    ...layoutFiles(packed, names),
    { name: 'manifest.json', text: manifestJson(packed, names) },
  ];
  await writeArchive(files, destination, tools.store, signal);
  return receipt(packed, destination.to);
}

function oneOf({ images }: Packed): PackedImage | undefined {
  const host = hostPlatform();
  const own = images.find(({ image: { platform } }) => platformDistance(host, platform) === 0);
  return own ?? images[0];
}

function manifestJson(packed: Packed, names: readonly string[]): string {
  const images = [oneOf(packed)].filter(image => image !== undefined);
  const entries = images.map(image => ({
    Config: blobName(image.config.descriptor.digest),
    // As docker writes it: null, not an empty list.
    RepoTags: names.length > 0 ? names.map(name => familiarReference(parseReference(name))) : null,
    Layers: image.layers.map(layer => blobName(layer.digest)),
  }));
  return JSON.stringify(entries);
}
