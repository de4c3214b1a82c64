// An OCI image layout (image-layout.md), as a tar or as a directory.
import { resolve } from 'node:path';
import { blobName } from '../store/layout-files.ts';
import { indexText, layoutText } from '../store/layout-index.ts';
import { type ArchiveFile, writeArchive } from './archive.ts';
import { openDestination } from './destination.ts';
import { type ExportInput, namesOf } from './finished-image.ts';
import { writeLayoutDirectory } from './layout-directory.ts';
import type { OutputSpec } from './output-spec.ts';
import { documentsOf, indexEntries, layersOf, type Packed, pack } from './pack.ts';
import type { ExportTools, Receipt } from './tools.ts';

/**
 * A tar is replaced when it is there; a directory that holds a layout keeps its other images.
 * @throws BuildError `output`, `usage`, `interrupted`, and what packing the layers throws
 */
export async function exportOci(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'oci' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  const names = spec.names ?? namesOf(input);
  if (!spec.tar) {
    const packed = await pack(input, tools.layers, { options: spec, defaultCompression: 'gzip' }, signal);
    const to = resolve(tools.cwd, spec.dest);
    await writeLayoutDirectory(to, { packed, names }, tools.store, signal);
    return receipt(packed, to);
  }
  await using destination = await openDestination(spec.dest, tools);
  const packed = await pack(input, tools.layers, { options: spec, defaultCompression: 'gzip' }, signal);
  await writeArchive(layoutFiles(packed, names), destination, tools.store, signal);
  return receipt(packed, destination.to);
}

/** Everything that makes an image layout. */
export function layoutFiles(packed: Packed, names: readonly string[]): ArchiveFile[] {
  return [
    ...documentsOf(packed).map(({ descriptor, bytes }) => ({
      name: blobName(descriptor.digest),
      text: bytes,
    })),
    ...layersOf(packed).map(blob => ({ name: blobName(blob.digest), blob })),
    { name: 'index.json', text: indexText(indexEntries(packed, names)) },
    { name: 'oci-layout', text: layoutText },
  ];
}

export function receipt(packed: Packed, ...to: string[]): Receipt {
  const first = packed.images[0]?.image.configDigest;
  return { to, root: packed.root.descriptor, ...(first ? { configDigest: first } : {}) };
}
