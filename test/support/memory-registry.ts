// A registry in this process, over real HTTP, that does what a test tells it: it serves and takes blobs and manifests
// honestly until a script says otherwise. It records every request.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Issued } from './tls.ts';

export interface Seen {
  readonly method: string;
  /** Path with query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Bytes of the body that arrived. */
  bodyBytes: number;
}

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly seen: Seen;
  /** Serves the request honestly. */
  honest(): Promise<void>;
  /** The request's body to its end. */
  body(): Promise<Buffer>;
  answer(status: number, headers?: Record<string, string>, body?: string | Buffer): void;
  /** Breaks the connection as a reset. */
  reset(): void;
}

export interface Rule {
  readonly method?: string;
  readonly path?: RegExp;
  /** How many requests it is for; default all. */
  readonly times?: number;
}

export interface StoredManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
}

export class MemoryRegistry {
  /** `127.0.0.1:port`. */
  host = '';
  readonly seen: Seen[] = [];
  readonly blobs = new Map<string, Buffer>();
  /** Repositories that have a blob: `repo@digest`. */
  readonly links = new Set<string>();
  /** `repo:tag` and `repo@digest`. */
  readonly manifests = new Map<string, StoredManifest>();
  readonly uploads = new Map<string, Buffer>();
  readonly #rules: { rule: Rule; left: number; handle: (exchange: Exchange) => void | Promise<void> }[] = [];
  #server: Server | undefined;
  #nextUpload = 1;

  async start(tls?: Issued): Promise<this> {
    const handle = (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response);
    this.#server = tls ? createTlsServer({ cert: tls.cert, key: tls.key }, handle) : createServer(handle);
    const server = this.#server;
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise(resolve => this.#server?.close(resolve));
  }

  /** Requests that match are given to `handle`; a later rule goes before an earlier one. */
  script(rule: Rule, handle: (exchange: Exchange) => void | Promise<void>): void {
    this.#rules.unshift({ rule, left: rule.times ?? Number.POSITIVE_INFINITY, handle });
  }

  /** Requests seen, as `METHOD /path`, queries cut off. */
  get log(): readonly string[] {
    return this.seen.map(({ method, url }) => `${method} ${url.replace(/\?.*/, '')}`);
  }

  addBlob(repository: string, bytes: Buffer | string): { digest: string; size: number } {
    const buffer = Buffer.from(bytes);
    const digest = sha256(buffer);
    this.blobs.set(digest, buffer);
    this.links.add(`${repository}@${digest}`);
    return { digest, size: buffer.length };
  }

  addManifest(
    repository: string,
    tag: string | undefined,
    mediaType: string,
    json: unknown,
  ): { digest: string; size: number } {
    const bytes = Buffer.isBuffer(json)
      ? json
      : Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
    const digest = sha256(bytes);
    this.manifests.set(`${repository}@${digest}`, { mediaType, bytes });
    if (tag) this.manifests.set(`${repository}:${tag}`, { mediaType, bytes });
    return { digest, size: bytes.length };
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen: Seen = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      bodyBytes: 0,
    };
    this.seen.push(seen);
    // A listener for data would make the body flow before a script looks at it.
    const exchange = this.#exchange(request, response, seen);
    const path = seen.url.replace(/\?.*/, '');
    const found = this.#rules.find(
      ({ rule, left }) =>
        left > 0 && (!rule.method || rule.method === seen.method) && (!rule.path || rule.path.test(path)),
    );
    if (found) found.left -= 1;
    try {
      await (found ? found.handle(exchange) : exchange.honest());
    } catch {
      response.destroy();
    }
  }

  #exchange(request: IncomingMessage, response: ServerResponse, seen: Seen): Exchange {
    const body = async () => {
      const parts: Buffer[] = [];
      for await (const part of request) {
        seen.bodyBytes += (part as Buffer).length;
        parts.push(part as Buffer);
      }
      return Buffer.concat(parts);
    };
    const answer = (status: number, headers: Record<string, string> = {}, content: string | Buffer = '') => {
      response.writeHead(status, headers).end(content);
    };
    const reset = () => void request.socket.resetAndDestroy();
    const honest = () => this.#honest({ request, response, seen, body, answer, reset, honest });
    return { request, response, seen, body, answer, reset, honest };
  }

  async #honest(x: Exchange): Promise<void> {
    const url = new URL(x.seen.url, 'http://registry');
    const parts = /^\/v2\/(.+)\/(blobs|manifests|tags|referrers)\/(.*)$/.exec(url.pathname);
    if (url.pathname === '/v2/') return x.answer(200, {}, '{}');
    if (!parts) return x.answer(404);
    const [, repository = '', kind, rest = ''] = parts;
    if (kind === 'manifests') return this.#manifest(x, repository, rest);
    if (kind === 'tags') return this.#tags(x, repository);
    if (kind === 'referrers') return x.answer(404);
    if (rest.startsWith('uploads/')) return this.#upload(x, repository, rest.slice('uploads/'.length), url);
    return this.#blob(x, repository, rest);
  }

  async #blob(x: Exchange, repository: string, digest: string): Promise<void> {
    const bytes = this.links.has(`${repository}@${digest}`) ? this.blobs.get(digest) : undefined;
    if (!bytes) return x.answer(404, {}, errorBody('BLOB_UNKNOWN'));
    const headers = { etag: `"${digest}"`, 'docker-content-digest': digest, 'accept-ranges': 'bytes' };
    const start = Number(/^bytes=(\d+)-$/.exec(String(x.seen.headers.range ?? ''))?.[1] ?? 0);
    const part = bytes.subarray(start);
    const range = start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {};
    x.response.writeHead(start > 0 ? 206 : 200, {
      ...headers,
      ...range,
      'content-length': String(part.length),
    });
    x.response.end(x.seen.method === 'HEAD' ? undefined : part);
  }

  async #manifest(x: Exchange, repository: string, which: string): Promise<void> {
    const key = which.includes(':') ? `${repository}@${which}` : `${repository}:${which}`;
    if (x.seen.method === 'PUT') {
      const bytes = await x.body();
      const mediaType = String(x.seen.headers['content-type']);
      const { digest } = this.addManifest(
        repository,
        which.includes(':') ? undefined : which,
        mediaType,
        bytes,
      );
      return x.answer(201, {
        'docker-content-digest': digest,
        location: `/v2/${repository}/manifests/${digest}`,
      });
    }
    const found = this.manifests.get(key);
    if (!found) return x.answer(404, {}, errorBody('MANIFEST_UNKNOWN'));
    const headers = { 'content-type': found.mediaType, 'docker-content-digest': sha256(found.bytes) };
    x.answer(200, headers, x.seen.method === 'HEAD' ? '' : found.bytes);
  }

  #tags(x: Exchange, repository: string): void {
    const tags = [...this.manifests.keys()]
      .filter(key => key.startsWith(`${repository}:`))
      .map(key => key.slice(repository.length + 1));
    x.answer(200, { 'content-type': 'application/json' }, JSON.stringify({ name: repository, tags }));
  }

  async #upload(x: Exchange, repository: string, id: string, url: URL): Promise<void> {
    if (x.seen.method === 'POST') return this.#begin(x, repository, url);
    const soFar = this.uploads.get(id);
    if (!soFar) return x.answer(404, {}, errorBody('BLOB_UPLOAD_UNKNOWN'));
    const location = `/v2/${repository}/blobs/uploads/${id}`;
    const range = (length: number) => `0-${Math.max(0, length - 1)}`;
    if (x.seen.method === 'GET') return x.answer(204, { location, range: range(soFar.length) });
    const from = /^(\d+)-/.exec(String(x.seen.headers['content-range'] ?? ''))?.[1];
    if (from !== undefined && Number(from) !== soFar.length)
      return x.answer(416, { range: range(soFar.length) });
    const bytes = await this.#receive(x, id);
    if (x.seen.method === 'PATCH') return x.answer(202, { location, range: range(bytes.length) });
    const digest = url.searchParams.get('digest') ?? '';
    if (sha256(bytes) !== digest) return x.answer(400, {}, errorBody('DIGEST_INVALID'));
    this.uploads.delete(id);
    this.addBlob(repository, bytes);
    x.answer(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
  }

  /** Keeps what arrived even when the connection breaks, as registries do. */
  async #receive(x: Exchange, id: string): Promise<Buffer> {
    for await (const part of x.request) {
      x.seen.bodyBytes += (part as Buffer).length;
      this.uploads.set(id, Buffer.concat([this.uploads.get(id) ?? Buffer.alloc(0), part as Buffer]));
    }
    return this.uploads.get(id) ?? Buffer.alloc(0);
  }

  async #begin(x: Exchange, repository: string, url: URL): Promise<void> {
    const mount = url.searchParams.get('mount');
    const from = url.searchParams.get('from');
    if (mount && this.links.has(`${from}@${mount}`)) {
      this.links.add(`${repository}@${mount}`);
      return x.answer(201, { location: `/v2/${repository}/blobs/${mount}`, 'docker-content-digest': mount });
    }
    const id = `upload-${this.#nextUpload++}`;
    this.uploads.set(id, Buffer.alloc(0));
    x.answer(202, { location: `/v2/${repository}/blobs/uploads/${id}`, range: '0-0' });
  }
}

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** As the distribution specification has it. */
export function errorBody(code: string, message = ''): string {
  return JSON.stringify({ errors: [{ code, message }] });
}

/** A small image: one config, layers of the given bytes. */
export function addImage(
  registry: MemoryRegistry,
  repository: string,
  tag: string | undefined,
  options: {
    platform?: { os: string; architecture: string; variant?: string };
    layers?: readonly (Buffer | string)[];
  } = {},
): { digest: string; size: number; layers: readonly { digest: string; size: number }[] } {
  const layers = (options.layers ?? ['layer one']).map(bytes => registry.addBlob(repository, bytes));
  const config = registry.addBlob(
    repository,
    JSON.stringify({
      ...(options.platform ?? { os: 'linux', architecture: 'amd64' }),
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map(layer => layer.digest) },
    }),
  );
  const manifest = registry.addManifest(repository, tag, ociManifest, {
    schemaVersion: 2,
    mediaType: ociManifest,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map(layer => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
  });
  return { ...manifest, layers };
}

export const ociManifest = 'application/vnd.oci.image.manifest.v1+json';
export const ociIndex = 'application/vnd.oci.image.index.v1+json';
