// Image manifests and indexes (OCI image-spec manifest.md, image-index.md; Docker schema 2). A document is one or
// the other: what could be read as both is refused (GHSA-mc8v-88xq-6p8c and kin).
import { BuildError, printable } from '../errors.ts';
import { type Descriptor, descriptorFromJson, descriptorToJson, stringMap } from './descriptor.ts';
import { isIndexType, isManifestType, mediaTypes } from './media-type.ts';

export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  readonly subject?: Descriptor;
}

export interface Index {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}

/** Largest manifest, index or config that is read, in bytes. */
export const maxManifestBytes = 4 * 1024 * 1024;

/**
 * @param bytes the document as received
 * @param mediaType what the sender called it; must agree with the document
 * @throws BuildError `integrity` or `unsupported`
 */
export function parseManifest(bytes: Uint8Array, mediaType: string): Manifest | Index {
  if (mediaType === mediaTypes.dockerSchema1 || mediaType === mediaTypes.dockerSchema1Signed) throw schema1();
  if (bytes.length > maxManifestBytes) throw broken(`it is larger than ${maxManifestBytes} bytes`);
  const json = parseObject(bytes);
  if (json.schemaVersion === 1) throw schema1();
  if (json.schemaVersion !== 2)
    throw broken(`schemaVersion is ${printable(String(json.schemaVersion))}, not 2`);
  const inside = json.mediaType;
  if (inside !== undefined && inside !== mediaType) {
    throw broken(`it calls itself ${printable(String(inside))} and was sent as ${printable(mediaType)}`);
  }
  const keys = new Set(Object.keys(json).map(key => key.toLowerCase()));
  if (keys.has('manifests') && (keys.has('layers') || keys.has('config'))) {
    throw new BuildError('hostile', 'a document is both an image manifest and an index, which is refused');
  }
  const annotations = json.annotations == null ? {} : stringMap(json.annotations, 'manifest annotations');
  if (isIndexType(mediaType)) {
    if (!Array.isArray(json.manifests)) throw broken('an index without a list of manifests');
    const manifests = json.manifests.map((d, i) => descriptorFromJson(d, `manifests[${i}]`));
    return { kind: 'index', mediaType, manifests, annotations };
  }
  if (!isManifestType(mediaType)) {
    throw new BuildError(
      'unsupported',
      `this is not an image: its media type is ${printable(mediaType) || 'missing'}`,
    );
  }
  if (!Array.isArray(json.layers)) throw broken('a manifest without a list of layers');
  return {
    kind: 'manifest',
    mediaType,
    config: descriptorFromJson(json.config, 'the config'),
    layers: json.layers.map((d, i) => descriptorFromJson(d, `layers[${i}]`)),
    annotations,
    ...(typeof json.artifactType === 'string' ? { artifactType: json.artifactType } : {}),
    ...(json.subject == null ? {} : { subject: descriptorFromJson(json.subject, 'the subject') }),
  };
}

/** The media type of a document whose sender said nothing (a file), by its fields. */
export function guessMediaType(bytes: Uint8Array): string {
  const json = parseObject(bytes);
  if (typeof json.mediaType === 'string') return json.mediaType;
  return Array.isArray(json.manifests) ? mediaTypes.ociIndex : mediaTypes.ociManifest;
}

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch (cause) {
    throw new BuildError('integrity', 'a manifest is not valid JSON', { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw broken('it is not a JSON object');
  return json as Record<string, unknown>;
}

function broken(why: string): BuildError {
  return new BuildError('integrity', `a manifest cannot be used: ${why}`);
}

function schema1(): BuildError {
  return new BuildError(
    'unsupported',
    'this image has a schema 1 manifest, a format that was retired in 2019',
    {
      hint: 'pull and push it once with a current docker or skopeo to convert it',
    },
  );
}

/** The bytes of a manifest or index; equal values give equal bytes. */
export function encodeManifest(document: Manifest | Index): string {
  const head = { schemaVersion: 2, mediaType: document.mediaType };
  const tail = Object.keys(document.annotations).length > 0 ? { annotations: document.annotations } : {};
  if (document.kind === 'index') {
    return JSON.stringify({ ...head, manifests: document.manifests.map(descriptorToJson), ...tail });
  }
  return JSON.stringify({
    ...head,
    ...(document.artifactType ? { artifactType: document.artifactType } : {}),
    config: descriptorToJson(document.config),
    layers: document.layers.map(descriptorToJson),
    ...(document.subject ? { subject: descriptorToJson(document.subject) } : {}),
    ...tail,
  });
}
