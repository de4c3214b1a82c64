// The index.json of an exported image layout (image-layout.md#indexjson-file): one entry a name.
import { type Descriptor, descriptorToJson } from '../image/descriptor.ts';
import { mediaTypes } from '../image/media-type.ts';
import { parseReference } from '../image/reference.ts';

/** Annotation keys of an entry: the tag, which OCI tools look for, and the full name, which containerd looks for. */
export const entryKeys = {
  tag: 'org.opencontainers.image.ref.name',
  name: 'io.containerd.image.name',
} as const;

/** The bytes of `oci-layout`. */
export const layoutText = JSON.stringify({ imageLayoutVersion: '1.0.0' });

/** One entry for each full name; without names one that has none. */
export function indexEntries(root: Descriptor, names: readonly string[]): Record<string, unknown>[] {
  if (names.length === 0) return [descriptorToJson(root)];
  return names.map(name => {
    const { tag, digest } = parseReference(name);
    const short = tag ?? digest;
    return descriptorToJson({
      ...root,
      annotations: { [entryKeys.name]: name, ...(short === undefined ? {} : { [entryKeys.tag]: short }) },
    });
  });
}

export function indexJson(entries: readonly unknown[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: entries });
}
