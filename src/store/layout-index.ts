// How names stand in the index.json of an OCI image layout (image-layout.md#indexjson-file). Pure.
import { mediaTypes } from '../image/media-type.ts';
import { parseReference } from '../image/reference.ts';

/** Annotation keys of an entry: the tag, which OCI tools look for, and the full name, which containerd looks for. */
export const annotationKeys = {
  tag: 'org.opencontainers.image.ref.name',
  name: 'io.containerd.image.name',
} as const;

/** The bytes of `oci-layout`. */
export const layoutText = JSON.stringify({ imageLayoutVersion: '1.0.0' });

/** The bytes of an index.json. @param manifests descriptors in their JSON shape */
export function indexText(manifests: readonly unknown[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
}

/** What index.json says about a name, given in full form. */
export function nameAnnotations(name: string): Record<string, string> {
  const { tag, digest } = parseReference(name);
  const short = tag ?? digest;
  return { [annotationKeys.name]: name, ...(short === undefined ? {} : { [annotationKeys.tag]: short }) };
}
