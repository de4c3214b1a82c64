// Looking for images: on Docker Hub by its search, in other registries among the names that they list.
import { BuildError, printable } from '../errors.ts';
import type { Http } from '../host/http.ts';
import type { Registries } from '../registry/registry.ts';

export interface SearchResult {
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly official: boolean;
}

export interface SearchRequest {
  /** `term`, or `host/term` for another registry than Docker Hub. */
  readonly term: string;
  /** 1 to 100. */
  readonly limit: number;
  /** Where Docker Hub's search is; default https://index.docker.io. */
  readonly hub?: string;
}

export interface SearchTools {
  readonly http: Http;
  registries(): Promise<Registries>;
  readonly signal: AbortSignal;
}

const maxAnswerBytes = 4 * 1024 * 1024;

/** Most stars first, as the registry says. @throws BuildError `network`, `auth`, `unsupported` */
export async function searchImages(request: SearchRequest, tools: SearchTools): Promise<SearchResult[]> {
  const slash = request.term.indexOf('/');
  const host = slash < 0 ? '' : request.term.slice(0, slash);
  const isHost = /[.:]/.test(host) || host === 'localhost';
  if (!isHost || host === 'docker.io' || host === 'index.docker.io') {
    return searchHub(isHost ? { ...request, term: request.term.slice(slash + 1) } : request, tools);
  }
  return searchCatalog(host, request.term.slice(slash + 1), request.limit, tools);
}

async function searchHub(request: SearchRequest, { http, signal }: SearchTools): Promise<SearchResult[]> {
  const url = new URL('/v1/search', request.hub ?? 'https://index.docker.io');
  url.searchParams.set('q', request.term);
  url.searchParams.set('n', String(request.limit));
  const answer = await http.send({ method: 'GET', url, signal });
  if (answer.status !== 200) {
    answer.body.destroy();
    throw new BuildError('network', `the search at ${url.host} answered with status ${answer.status}`, {
      facts: { status: answer.status },
    });
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer.body) {
    size += chunk.length;
    if (size > maxAnswerBytes)
      throw new BuildError('network', `the search at ${url.host} answers without end`);
    chunks.push(chunk);
  }
  return resultsFrom(Buffer.concat(chunks), url.host).slice(0, request.limit);
}

function resultsFrom(bytes: Buffer, host: string): SearchResult[] {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new BuildError('network', `the search at ${host} did not answer with JSON`, { cause });
  }
  const results = (json as { results?: unknown } | null)?.results;
  if (!Array.isArray(results)) return [];
  return results.map((result: Record<string, unknown> | null) => ({
    name: String(result?.name ?? ''),
    description: String(result?.description ?? ''),
    stars: Number(result?.star_count ?? 0) || 0,
    official: result?.is_official === true,
  }));
}

/** Registries other than Docker Hub have no search, but many list their repositories. */
async function searchCatalog(
  host: string,
  term: string,
  limit: number,
  tools: SearchTools,
): Promise<SearchResult[]> {
  const registries = await tools.registries();
  let names: readonly string[];
  try {
    names = await registries.listRepositories(host, tools.signal);
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'not-found') throw error;
    throw new BuildError('unsupported', `${printable(host)} does not list its repositories`, {
      cause: error,
    });
  }
  return names
    .filter(name => name.includes(term))
    .slice(0, limit)
    .map(name => ({ name: `${host}/${name}`, description: '', stars: 0, official: false }));
}
