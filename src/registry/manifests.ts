// Reading manifests (OCI distribution-spec, pulling manifests): by tag or digest, verified, and from an index or
// list the one for a platform.
import { createHash } from 'node:crypto';
import { BuildError, printable } from '../errors.ts';
import { readBody } from '../host/http.ts';
import { retrying } from '../host/retry.ts';
import { configFromJson, type ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, type Digest, digestFromHash, digestOf, isDigest } from '../image/digest.ts';
import {
  guessMediaType,
  type Index,
  type Manifest,
  maxManifestBytes,
  parseManifest,
} from '../image/manifest.ts';
import { compressionOf, isIndexType, isManifestType, mediaTypes } from '../image/media-type.ts';
import { formatPlatform, type Platform, platformDistance } from '../image/platform.ts';
import { type Endpoint, type Endpoints, firstThatWorks, type Repository } from './endpoints.ts';

export interface FetchedManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
  readonly document: Manifest | Index;
}

/** An image for one platform, without its layers. */
export interface FetchedImage {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly manifestBytes: Buffer;
  readonly config: ImageConfig;
  readonly configBytes: Buffer;
  /** The index or list that named it, when it was one. */
  readonly index?: FetchedManifest;
}

const maxIndexDepth = 4;
const maxIndexesRead = 32;

const acceptedTypes = [
  mediaTypes.ociIndex,
  mediaTypes.dockerIndex,
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
].join(', ');

/**
 * @param which tag or digest; a digest is verified
 * @param fresh the registry itself is asked, not its mirrors
 * @throws BuildError
 */
export async function fetchManifest(
  endpoints: Endpoints,
  repository: Repository,
  which: string,
  signal: AbortSignal,
  fresh = false,
): Promise<FetchedManifest> {
  const places = fresh
    ? [endpoints.writable(repository)]
    : endpoints.readable(repository, isDigest(which) ? 'digest' : 'tag');
  return firstThatWorks(places, signal, place =>
    retrying(endpoints.retry, signal, () => readManifest(place, which, signal)),
  );
}

async function readManifest(place: Endpoint, which: string, signal: AbortSignal): Promise<FetchedManifest> {
  const what = isDigest(which) ? `manifest ${which}` : `tag ${which}`;
  const answer = await place.host.send({
    method: 'GET',
    to: `/v2/${place.path}/manifests/${which}`,
    need: { repository: place.path, access: 'pull' },
    headers: { accept: acceptedTypes },
    expect: [200],
    what,
    signal,
  });
  refuseEncoding(answer.header('content-encoding'), place.host.name);
  const bytes = await readBody(answer, maxManifestBytes, `${what} of ${place.shown}`);
  const announced = answer.header('docker-content-digest');
  const expected = isDigest(which) ? which : announced;
  const digest = isDigest(expected) ? verified(bytes, expected, what) : digestOf(bytes);
  const mediaType = sentType(answer.header('content-type'), bytes);
  return {
    descriptor: { mediaType, digest, size: bytes.length },
    bytes,
    document: parseManifest(bytes, mediaType),
  };
}

/** What the sender calls the document; when it says only that it is JSON, the document itself is asked. */
function sentType(contentType: string | undefined, bytes: Uint8Array): string {
  const type = (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  return ['', 'application/json', 'text/plain', 'application/octet-stream'].includes(type)
    ? guessMediaType(bytes)
    : type;
}

/** A blob or manifest is its bytes: a packed transfer would be other bytes. */
export function refuseEncoding(encoding: string | undefined, host: string): void {
  if (encoding === undefined || encoding === '' || encoding === 'identity') return;
  throw new BuildError(
    'integrity',
    `${printable(host)} sends content packed as ${printable(encoding)}, which was not asked for`,
  );
}

/** @throws BuildError `integrity` unless the bytes have the digest */
export function verified(bytes: Uint8Array, expected: Digest, what: string): Digest {
  const algorithm = algorithmOf(expected);
  const found = digestFromHash(createHash(algorithm).update(bytes).digest('hex'), algorithm);
  if (found === expected) return found;
  throw new BuildError('integrity', `${what} does not have the digest it should have`, {
    facts: { expected, found },
  });
}

/**
 * The image for `platform` under a tag or digest.
 * @param name for messages
 * @throws BuildError `not-found` when there is none for the platform, `unsupported` when it is no image, ...
 */
export async function fetchImage(
  endpoints: Endpoints,
  repository: Repository,
  which: string,
  platform: Platform,
  name: string,
  signal: AbortSignal,
): Promise<FetchedImage> {
  const top = await fetchManifest(endpoints, repository, which, signal);
  const chosen = await new Choice(endpoints, repository, platform, name, signal).from(top, 1);
  if (chosen?.document.kind !== 'manifest') throw noSuchPlatform(name, platform, top.document);
  const manifest = chosen.document;
  refuseForeignDocuments(manifest, name);
  const configBytes = await fetchSmallBlob(endpoints, repository, manifest.config, signal);
  const config = parseConfig(configBytes, manifest, name);
  return {
    descriptor: chosen.descriptor,
    manifest,
    manifestBytes: chosen.bytes,
    config,
    configBytes,
    ...(top === chosen ? {} : { index: top }),
  };
}

/** Looks through an index, and the indexes in it, for the nearest platform. */
class Choice {
  readonly #endpoints: Endpoints;
  readonly #repository: Repository;
  readonly #platform: Platform;
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #seen = new Set<Digest>();

  constructor(
    endpoints: Endpoints,
    repository: Repository,
    platform: Platform,
    name: string,
    signal: AbortSignal,
  ) {
    this.#endpoints = endpoints;
    this.#repository = repository;
    this.#platform = platform;
    this.#name = name;
    this.#signal = signal;
  }

  /** @returns undefined when nothing fits */
  async from(fetched: FetchedManifest, depth: number): Promise<FetchedManifest | undefined> {
    const { document, descriptor } = fetched;
    if (document.kind === 'manifest') return fetched;
    if (depth > maxIndexDepth) {
      throw new BuildError(
        'integrity',
        `${this.#name} has indexes within indexes, more than ${maxIndexDepth} deep`,
      );
    }
    this.#seen.add(descriptor.digest);
    if (this.#seen.size > maxIndexesRead) {
      throw new BuildError('integrity', `${this.#name} is made of more than ${maxIndexesRead} indexes`);
    }
    for (const candidate of rankCandidates(document.manifests, this.#platform)) {
      if (this.#seen.has(candidate.digest)) continue;
      const found = await this.from(await this.#fetch(candidate), depth + 1);
      if (found) return found;
    }
    return undefined;
  }

  async #fetch(candidate: Descriptor): Promise<FetchedManifest> {
    const fetched = await fetchManifest(this.#endpoints, this.#repository, candidate.digest, this.#signal);
    const { size, mediaType } = fetched.descriptor;
    if (size !== candidate.size) throw mismatch(this.#name, 'size', candidate.size, size);
    if (mediaType !== candidate.mediaType)
      throw mismatch(this.#name, 'media type', candidate.mediaType, mediaType);
    return {
      ...fetched,
      descriptor: { ...fetched.descriptor, ...(candidate.platform ? { platform: candidate.platform } : {}) },
    };
  }
}

function mismatch(
  name: string,
  field: string,
  expected: string | number,
  found: string | number,
): BuildError {
  return new BuildError('integrity', `an image in ${name} has another ${field} than its index says`, {
    facts: { expected, found },
  });
}

/** Manifests by distance, the first of equals first; then nested indexes without a platform; then a lone manifest without one. */
export function rankCandidates(manifests: readonly Descriptor[], platform: Platform): readonly Descriptor[] {
  const usable = manifests.filter(d => isManifestType(d.mediaType) || isIndexType(d.mediaType));
  const fitting = usable
    .flatMap(d => {
      const distance = d.platform ? platformDistance(platform, d.platform) : undefined;
      return distance === undefined ? [] : [{ d, distance }];
    })
    .sort((a, b) => a.distance - b.distance)
    .map(({ d }) => d);
  // Fitting manifests exclude each other: the nearest is the answer. Indexes may turn out to be empty-handed.
  const first = fitting.findIndex(d => isManifestType(d.mediaType));
  const known = first < 0 ? fitting : fitting.slice(0, first + 1);
  const open = usable.filter(d => !d.platform && isIndexType(d.mediaType));
  const lone = usable.length === 1 && usable[0]?.platform === undefined ? usable : [];
  return [...new Set([...known, ...open, ...lone])];
}

function noSuchPlatform(name: string, platform: Platform, document: Manifest | Index): BuildError {
  const offered = document.kind === 'index' ? document.manifests.flatMap(d => d.platform ?? []) : [];
  const names = [...new Set(offered.filter(p => p.os !== 'unknown').map(formatPlatform))].slice(0, 20);
  return new BuildError('not-found', `${name} has no image for ${formatPlatform(platform)}`, {
    hint: names.length > 0 ? `it has ${names.join(', ')}` : 'it holds no images at all',
    facts: { platform: formatPlatform(platform) },
  });
}

const configTypes: readonly string[] = [mediaTypes.ociConfig, mediaTypes.dockerConfig];

/** Charts, signatures and other artifacts are manifests too. */
function refuseForeignDocuments(manifest: Manifest, name: string): void {
  const { mediaType } = manifest.config;
  const strange = configTypes.includes(mediaType)
    ? manifest.layers.find(layer => compressionOf(layer.mediaType) === undefined)?.mediaType
    : (manifest.artifactType ?? mediaType);
  if (strange === undefined) return;
  throw new BuildError('unsupported', `${name} is not a container image: it holds ${printable(strange)}`);
}

function parseConfig(bytes: Buffer, manifest: Manifest, name: string): ImageConfig {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BuildError('integrity', `the config of ${name} is not valid JSON`, { cause });
  }
  const config = configFromJson(json);
  if (config.diffIds.length !== manifest.layers.length) {
    throw new BuildError(
      'integrity',
      `${name} has ${manifest.layers.length} layers, but its config lists ${config.diffIds.length}`,
    );
  }
  return config;
}

/** A blob that is kept in memory: a config. @throws BuildError `integrity` when it is larger than 4 MiB or damaged */
export async function fetchSmallBlob(
  endpoints: Endpoints,
  repository: Repository,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<Buffer> {
  const { digest, size } = descriptor;
  if (size > maxManifestBytes)
    throw new BuildError('integrity', `blob ${digest} is too large for a config: ${size} bytes`);
  return firstThatWorks(endpoints.readable(repository, 'digest'), signal, place =>
    retrying(endpoints.retry, signal, async () => {
      const answer = await place.host.send({
        method: 'GET',
        to: `/v2/${place.path}/blobs/${digest}`,
        need: { repository: place.path, access: 'pull' },
        expect: [200],
        what: `blob ${digest}`,
        signal,
      });
      refuseEncoding(answer.header('content-encoding'), place.host.name);
      const bytes = await readBody(answer, size, `blob ${digest}`);
      if (bytes.length !== size) throw mismatch(place.shown, 'size', size, bytes.length);
      verified(bytes, digest, `blob ${digest}`);
      return bytes;
    }),
  );
}
