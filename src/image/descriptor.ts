// Descriptors (OCI image-spec, descriptor.md): what a blob is, how large, and its digest.
import { BuildError } from '../errors.ts';
import { type Digest, parseDigest } from './digest.ts';
import { type Platform, platformFromJson } from './platform.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly platform?: Platform;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  /** Places outside the registry that hold the blob (foreign layers); never used with credentials. */
  readonly urls?: readonly string[];
}

/** @throws BuildError `integrity` when `value` is no descriptor; `what` names it in the message. */
export function descriptorFromJson(value: unknown, what: string): Descriptor {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BuildError('integrity', `${what} is not a descriptor`);
  }
  const json = value as Record<string, unknown>;
  const { mediaType, size } = json;
  if (typeof mediaType !== 'string' || mediaType === '') {
    throw new BuildError('integrity', `${what} has no media type`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new BuildError('integrity', `${what} has an invalid size: ${String(size)}`);
  }
  const urls = Array.isArray(json.urls) ? json.urls.filter(u => typeof u === 'string') : undefined;
  return {
    mediaType,
    digest: parseDigest(json.digest, `the digest of ${what}`),
    size,
    ...(json.platform === undefined || json.platform === null
      ? {}
      : { platform: platformFromJson(json.platform, what) }),
    ...(json.annotations ? { annotations: stringMap(json.annotations, `annotations of ${what}`) } : {}),
    ...(typeof json.artifactType === 'string' ? { artifactType: json.artifactType } : {}),
    ...(urls && urls.length > 0 ? { urls } : {}),
  };
}

/** @throws BuildError `integrity` unless `value` is an object of texts. */
export function stringMap(value: unknown, what: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new BuildError('integrity', `${what} must be an object of strings`);
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new BuildError('integrity', `${what}: ${key} is not a string`);
  }
  return { ...(value as Record<string, string>) };
}

/** The JSON shape of a descriptor, fields in the order that the specification lists them. */
export function descriptorToJson(d: Descriptor): Record<string, unknown> {
  return {
    mediaType: d.mediaType,
    digest: d.digest,
    size: d.size,
    ...(d.urls ? { urls: d.urls } : {}),
    ...(d.annotations && Object.keys(d.annotations).length > 0 ? { annotations: d.annotations } : {}),
    ...(d.platform ? { platform: platformJson(d.platform) } : {}),
    ...(d.artifactType ? { artifactType: d.artifactType } : {}),
  };
}

function platformJson(p: Platform): Record<string, unknown> {
  return {
    architecture: p.architecture,
    os: p.os,
    ...(p.osVersion ? { 'os.version': p.osVersion } : {}),
    ...(p.osFeatures ? { 'os.features': p.osFeatures } : {}),
    ...(p.variant ? { variant: p.variant } : {}),
  };
}
