// Lists that a registry keeps (OCI distribution-spec: content discovery, referrers), page by page.
import { BuildError, printable } from '../errors.ts';
import { readBody } from '../host/http.ts';
import { retrying } from '../host/retry.ts';
import { type Descriptor, descriptorFromJson } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { mediaTypes } from '../image/media-type.ts';
import type { Need } from './auth.ts';
import { type Endpoint, type Endpoints, firstThatWorks, type Repository } from './endpoints.ts';
import { fetchManifest } from './manifests.ts';
import { nextPage } from './places.ts';

const maxPages = 1000;
const maxPageBytes = 4 * 1024 * 1024;
/** Of all pages: two million tags. */
const maxListBytes = 64 * 1024 * 1024;

/** In the order of the registry. */
export async function listTags(
  endpoints: Endpoints,
  repository: Repository,
  signal: AbortSignal,
): Promise<readonly string[]> {
  return firstThatWorks(endpoints.readable(repository, 'tag'), signal, place => {
    const need: Need = { repository: place.path, access: 'pull' };
    return pages(endpoints, place, `/v2/${place.path}/tags/list`, need, 'list of tags', signal, json =>
      texts(json.tags),
    );
  });
}

export async function listRepositories(
  endpoints: Endpoints,
  domain: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const place = endpoints.writable({ domain, path: '' });
  const need: Need = { repository: '', access: 'pull', extraScopes: ['registry:catalog:*'] };
  return pages(endpoints, place, '/v2/_catalog', need, 'list of repositories', signal, json =>
    texts(json.repositories),
  );
}

export async function listReferrers(
  endpoints: Endpoints,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
  artifactType?: string,
): Promise<readonly Descriptor[]> {
  const all = await firstThatWorks(endpoints.readable(repository, 'digest'), signal, async place => {
    const need: Need = { repository: place.path, access: 'pull' };
    const query = artifactType ? `?${new URLSearchParams({ artifactType })}` : '';
    const path = `/v2/${place.path}/referrers/${digest}${query}`;
    try {
      return await pages(endpoints, place, path, need, 'referrers', signal, json =>
        descriptors(json.manifests),
      );
    } catch (error) {
      if (!knowsNoReferrers(error)) throw error;
      return fallbackTag(endpoints, repository, digest, signal);
    }
  });
  return artifactType === undefined ? all : all.filter(d => d.artifactType === artifactType);
}

/** Most registries without the API answer 404; others take the path for a malformed one, or for one to write to. */
function knowsNoReferrers(error: unknown): boolean {
  if (!(error instanceof BuildError)) return false;
  const { status } = error.facts;
  return error.code === 'not-found' || (error.code === 'network' && [400, 405, 406].includes(Number(status)));
}

/** Registries without the API keep the list as an index under a tag made of the digest. */
async function fallbackTag(
  endpoints: Endpoints,
  repository: Repository,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  try {
    const { document } = await fetchManifest(
      endpoints,
      repository,
      digest.replace(':', '-').slice(0, 128),
      signal,
    );
    return document.kind === 'index' ? document.manifests : [];
  } catch (error) {
    if (error instanceof BuildError && error.code === 'not-found') return [];
    throw error;
  }
}

/** @throws BuildError `network` for a list that never ends, `hostile` for one that is too long */
async function pages<T>(
  endpoints: Endpoints,
  place: Endpoint,
  path: string,
  need: Need,
  what: string,
  signal: AbortSignal,
  read: (json: Record<string, unknown>) => readonly T[],
): Promise<readonly T[]> {
  const all: T[] = [];
  const seen = new Set<string>();
  let to: string | URL | undefined = path;
  let bytes = 0;
  while (to !== undefined) {
    const page: string | URL = to;
    const { json, next, size } = await retrying(endpoints.retry, signal, async () => {
      const answer = await place.host.send({
        method: 'GET',
        to: page,
        need,
        expect: [200],
        what,
        signal,
        headers: { accept: `application/json, ${mediaTypes.ociIndex}` },
      });
      const body = await readBody(answer, maxPageBytes, `the ${what} of ${place.shown}`);
      const next = nextPage(answer.url, answer.header('link'));
      return { json: parsePage(body, place, what), next, size: body.length };
    });
    bytes += size;
    if (bytes > maxListBytes) {
      const limit = `${maxListBytes / 1024 ** 2} MiB`;
      throw new BuildError('hostile', `the ${what} of ${printable(place.shown)} is longer than ${limit}`);
    }
    all.push(...read(json));
    to = next;
    if (next && (seen.has(next.href) || seen.size >= maxPages)) {
      throw new BuildError('network', `the ${what} of ${printable(place.shown)} does not end`);
    }
    if (next) seen.add(next.href);
  }
  return all;
}

function parsePage(body: Buffer, place: Endpoint, what: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(body.toString('utf8'));
    if (typeof json === 'object' && json !== null && !Array.isArray(json))
      return json as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new BuildError('network', `the ${what} of ${printable(place.shown)} is not a JSON object`);
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : [];
}

function descriptors(value: unknown): readonly Descriptor[] {
  return Array.isArray(value) ? value.map((item, i) => descriptorFromJson(item, `referrers[${i}]`)) : [];
}
