// Files from http and https URLs, for ADD and for contexts: redirects followed, transfers tried again, the bytes hashed
// while they are written. What a server sends is not trusted: names are reduced to one harmless component.
import { createHash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { BuildError, messageOf, printable } from '../errors.ts';
import type { Http, HttpResponse } from '../host/http.ts';
import { shownUrl } from '../host/http-error.ts';
import { defaultRetry, parseRetryAfter, type RetryPolicy, retrying } from '../host/retry.ts';
import { type Digest, digestFromHash } from '../image/digest.ts';
import type { Authorize } from './authorize.ts';

export interface DownloadRequest {
  readonly url: string;
  /** Host path of the file to write; it is created, and removed again on failure. */
  readonly to: string;
  /** Asked for every address on the way; a user and password in the URL come first. */
  readonly authorize?: Authorize;
  /** What an earlier download came to: the server is asked whether that is still what it has. */
  readonly remembered?: Downloaded;
  /** More is refused; default 64 GiB. */
  readonly maxBytes?: number;
  readonly signal: AbortSignal;
}

export interface Downloaded {
  readonly size: number;
  /** sha256 of the bytes. */
  readonly digest: Digest;
  /** From Content-Disposition: one component, safe to use as a name. */
  readonly name?: string;
  /** Seconds since 1970. */
  readonly lastModifiedSec?: number;
  readonly contentType?: string;
  /** What the server can be asked with later. Absent: it gave nothing that tells one byte from another. */
  readonly validator?: Validator;
  /** It is what was remembered: the server says so, and nothing was written. */
  readonly isUnchanged?: true;
}

/** One of the two, as the server wrote it (RFC 9110, 8.8). */
export type Validator =
  | { readonly kind: 'etag'; readonly text: string }
  | { readonly kind: 'last-modified'; readonly text: string };

/** @throws BuildError `network`, `not-found`, `auth`, or `hostile` for an address that must not be contacted */
export type Download = (request: DownloadRequest) => Promise<Downloaded>;

const defaultMaxBytes = 64 * 1024 ** 3;
const maxRedirects = 10;
const leastAgeMs = 60_000;
const redirects = new Set([301, 302, 303, 307, 308]);

export function makeDownload(http: Http, policy: RetryPolicy = defaultRetry): Download {
  return async request => {
    const url = parseUrl(request.url);
    try {
      return await retrying(policy, request.signal, () => attempt(http, url, request));
    } catch (error) {
      await rm(request.to, { force: true });
      throw error;
    }
  };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  throw new BuildError('context', `${printable(text)} is no http or https URL`);
}

async function attempt(http: Http, url: URL, request: DownloadRequest): Promise<Downloaded> {
  const response = await follow(http, url, request);
  if (response.status === 304 && request.remembered) {
    response.body.destroy();
    return { ...request.remembered, isUnchanged: true };
  }
  const { size, digest } = await writeBody(response, url, request);
  const name = nameIn(response.header('content-disposition'));
  const modified = Date.parse(response.header('last-modified') ?? '');
  const contentType = response.header('content-type');
  const validator = validatorOf(response);
  return {
    size,
    digest,
    ...(name === undefined ? {} : { name }),
    ...(Number.isNaN(modified) ? {} : { lastModifiedSec: Math.floor(modified / 1000) }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(validator === undefined ? {} : { validator }),
  };
}

/**
 * Only what changes with every byte: no weak tag, and no time that is so near to that of the answer that the file may have
 * been written again in the same second (RFC 9110, 8.8.2.2).
 */
function validatorOf(response: HttpResponse): Validator | undefined {
  const etag = response.header('etag');
  if (etag !== undefined && /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag)) return { kind: 'etag', text: etag };
  const text = response.header('last-modified') ?? '';
  const ageMs = Date.parse(response.header('date') ?? '') - Date.parse(text);
  return ageMs >= leastAgeMs ? { kind: 'last-modified', text } : undefined;
}

function condition({ remembered }: DownloadRequest): Record<string, string> {
  const validator = remembered?.validator;
  if (validator === undefined) return {};
  return { [validator.kind === 'etag' ? 'if-none-match' : 'if-modified-since']: validator.text };
}

/** Credentials in the URL are sent to its host only. */
async function follow(http: Http, first: URL, request: DownloadRequest): Promise<HttpResponse> {
  let url = first;
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const bare = new URL(url);
    bare.username = '';
    bare.password = '';
    bare.hash = '';
    const response = await http.send({
      method: 'GET',
      url: bare,
      headers: {
        'accept-encoding': 'identity',
        ...condition(request),
        ...authorization(url, request.authorize),
      },
      // A link-local address is a machine's own metadata service; nobody is led there by an answer.
      ...(hops > 0 ? { refuse: ['link-local' as const] } : {}),
      signal: request.signal,
    });
    if (response.status === 304 && request.remembered) return response;
    if (!redirects.has(response.status)) return accept(response, first);
    response.body.destroy();
    url = nextUrl(url, response.header('location'), first);
  }
  throw new BuildError('network', `${shownUrl(first)} redirects more than ${maxRedirects} times`);
}

function authorization(url: URL, authorize: Authorize | undefined): Record<string, string> {
  if (url.username === '' && url.password === '') {
    const known = authorize?.(url);
    return known === undefined ? {} : { authorization: known };
  }
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function nextUrl(from: URL, location: string | undefined, first: URL): URL {
  const next =
    location !== undefined && URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (next === undefined) throw new BuildError('network', `${shownUrl(first)} redirects to nowhere`);
  if (next.protocol !== 'http:' && next.protocol !== 'https:') {
    throw new BuildError('hostile', `${shownUrl(first)} redirects to a ${printable(next.protocol)} address`);
  }
  return next;
}

function accept(response: HttpResponse, url: URL): HttpResponse {
  const { status } = response;
  if (status === 200) return response;
  response.body.destroy();
  const retryAfterMs = parseRetryAfter(response.header('retry-after'), Date.now());
  const retryable = status === 408 || status === 429 || status >= 500;
  const code =
    status === 404 || status === 410 ? 'not-found' : status === 401 || status === 403 ? 'auth' : 'network';
  const hint = `pass a credential: --secret id=HTTP_AUTH_TOKEN_${url.host},env=NAME`;
  throw new BuildError(code, `${shownUrl(url)} answered with status ${status}`, {
    ...(status === 401 ? { hint } : {}),
    facts: { status, retryable, retryAfterMs },
  });
}

async function writeBody(
  response: HttpResponse,
  url: URL,
  request: DownloadRequest,
): Promise<{ size: number; digest: Digest }> {
  const max = request.maxBytes ?? defaultMaxBytes;
  const hash = createHash('sha256');
  let size = 0;
  const fd = createFile(request.to);
  try {
    for await (const part of response.body) {
      size += part.length;
      if (size > max)
        throw new BuildError('network', `${shownUrl(url)} is larger than ${max} bytes, which is refused`);
      hash.update(part);
      writeAll(fd, part);
    }
  } finally {
    response.body.destroy();
    closeSync(fd);
  }
  checkLength(response, size, url);
  return { size, digest: digestFromHash(hash.digest('hex')) };
}

function checkLength(response: HttpResponse, size: number, url: URL): void {
  const announced = response.header('content-length');
  if (
    announced === undefined ||
    response.header('content-encoding') !== undefined ||
    Number(announced) === size
  )
    return;
  throw new BuildError('network', `${shownUrl(url)} sent ${size} of ${printable(announced)} bytes`, {
    facts: { retryable: true },
  });
}

function createFile(path: string): number {
  try {
    return openSync(path, 'w', 0o600);
  } catch (error) {
    throw new BuildError('store', `cannot write ${printable(path)}: ${messageOf(error)}`, { cause: error });
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
  } catch (error) {
    throw new BuildError('store', `cannot keep a download: ${messageOf(error)}`, { cause: error });
  }
}

/** RFC 6266; `filename*` is not read, as Docker does not. */
function nameIn(disposition: string | undefined): string | undefined {
  const found = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition ?? '');
  if (found === null) return undefined;
  return safeName(found[1]?.replace(/\\(.)/g, '$1') ?? found[2] ?? '');
}

/** The last component of what a server or a URL calls a file; undefined when that is no name a file can have. */
export function safeName(text: string): string | undefined {
  const name = text.split(/[/\\]/).at(-1) ?? '';
  if (name === '' || name === '.' || name === '..' || /[\u0000-\u001f\u007f]/.test(name)) return undefined;
  return Buffer.byteLength(name) > 255 ? undefined : name;
}
