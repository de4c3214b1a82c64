// One HTTP exchange at a time, over undici, which stays in this room and is loaded with the first request. There
// are no redirects, retries, cookies or caches here: whoever asks decides what to do with the answer.
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { readFileSync } from 'node:fs';
import type { LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import { BuildError } from '../errors.ts';
import { type AddressKind, addressKind, literalKind } from './address.ts';
import { networkError, refusal, refusedAddress } from './http-error.ts';
import { type Environment, proxyFor } from './proxy.ts';
import { connectThroughSocks } from './socks.ts';

export interface TlsSettings {
  /** Authorities (PEM) trusted beside the system's. */
  readonly ca?: readonly string[];
  /** Client certificates and their keys (PEM), pairwise. */
  readonly clientCerts?: readonly { readonly cert: string; readonly key: string }[];
  /** false: anybody may answer. Default true. */
  readonly verify?: boolean;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  /** Names in lower case. A stream as body needs `content-length`, or is sent chunked. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | Readable;
  /** Equal objects share connections, so keep one per host. */
  readonly tls?: TlsSettings;
  /** Kinds of addresses that must not be contacted, checked for the address that is really connected to. */
  readonly refuse?: readonly AddressKind[];
  /** How many idle timeouts the answer's head may take; default 1. */
  readonly patience?: number;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** A header's value; repeated ones are joined with `, `. */
  header(name: string): string | undefined;
  /** Must be read to the end or destroyed. Fails with a BuildError `network` when the transfer breaks. */
  readonly body: AsyncIterable<Uint8Array> & { destroy(): void };
  /** IP address that answered; undefined behind a proxy. */
  readonly peer: string | undefined;
}

export interface Http {
  /** @throws BuildError `network` or `hostile`, or the signal's reason */
  send(request: HttpRequest): Promise<HttpResponse>;
  /** Ends all connections. */
  close(): Promise<void>;
}

export interface HttpOptions {
  /** HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE are read. */
  readonly env: Environment;
  /** Milliseconds for name, TCP and TLS together; default 30 s. */
  readonly connectTimeoutMs?: number;
  /** Longest silence of the other side, in milliseconds; default 60 s. A transfer as a whole may take any time. */
  readonly idleTimeoutMs?: number;
  readonly userAgent?: string;
  /** Connections to one host at the same time; default 8. */
  readonly connectionsPerHost?: number;
  /** Finds addresses; default the system's resolver. */
  readonly lookup?: LookupFunction;
}

export function openHttp(options: HttpOptions): Http {
  return new UndiciHttp(options);
}

type Undici = typeof import('undici');

/** Its default export is what `require` gives: the one shape that is the same in the bundle. */
async function loadUndici(): Promise<Undici> {
  return (await import('undici')).default as unknown as Undici;
}

class UndiciHttp implements Http {
  readonly #options: HttpOptions;
  readonly #idleMs: number;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();
  readonly #tlsIds = new WeakMap<TlsSettings, number>();
  readonly #peers = new Map<string, string>();
  #tlsCount = 0;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#idleMs = options.idleTimeoutMs ?? 60_000;
  }

  async send(request: HttpRequest): Promise<HttpResponse> {
    const { url, signal } = request;
    signal.throwIfAborted();
    const literal = literalKind(url);
    if (literal && request.refuse?.includes(literal)) throw refusal(url.host, article(literal));
    const { request: exchange } = await loadUndici();
    const dispatcher = await this.#dispatcher(request);
    try {
      const answer = await exchange(url, {
        dispatcher,
        method: request.method,
        headers: {
          'user-agent': this.#options.userAgent ?? 'slipway',
          'accept-encoding': 'identity',
          ...request.headers,
        },
        body: request.body ?? null,
        signal,
        headersTimeout: this.#idleMs * (request.patience ?? 1),
        bodyTimeout: this.#idleMs,
      });
      return {
        status: answer.statusCode,
        header: name => joined(answer.headers[name]),
        body: guarded(answer.body, error => this.#failure(error, request)),
        peer: this.#peers.get(url.host),
      };
    } catch (error) {
      throw this.#failure(error, request);
    }
  }

  #failure(error: unknown, { url, signal, patience = 1 }: HttpRequest): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof BuildError) return error;
    return networkError(error, url, this.#idleMs * patience, proxyFor(url, this.#options.env));
  }

  async close(): Promise<void> {
    const open = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    await Promise.all(open.map(async dispatcher => (await dispatcher).destroy()));
  }

  #dispatcher(request: HttpRequest): Promise<Dispatcher> {
    const proxy = proxyFor(request.url, this.#options.env);
    const key = [proxy?.href, request.refuse?.join(), this.#tlsId(request.tls)].join('|');
    let dispatcher = this.#dispatchers.get(key);
    if (!dispatcher) {
      dispatcher = this.#open(request, proxy);
      this.#dispatchers.set(key, dispatcher);
    }
    return dispatcher;
  }

  #tlsId(tls: TlsSettings | undefined): number {
    if (!tls) return 0;
    const id = this.#tlsIds.get(tls) ?? ++this.#tlsCount;
    this.#tlsIds.set(tls, id);
    return id;
  }

  async #open(request: HttpRequest, proxy: URL | undefined): Promise<Dispatcher> {
    const undici = await loadUndici();
    const timeout = this.#options.connectTimeoutMs ?? 30_000;
    const connections = this.#options.connectionsPerHost ?? 8;
    const tls = tlsOptions(request.tls, this.#options.env);
    const setup = { tls, timeout, connections, env: this.#options.env };
    if (proxy)
      return proxy.protocol.startsWith('socks')
        ? openSocks(undici, proxy, setup)
        : openProxy(undici, proxy, setup);
    const lookup = guardedLookup(this.#options.lookup ?? (dnsLookup as LookupFunction), request.refuse ?? []);
    const plain = undici.buildConnector({ timeout, lookup });
    let secure: typeof plain | undefined;
    return new undici.Agent({
      connections,
      connect: (to, done) => {
        if (to.protocol === 'https:') secure ??= undici.buildConnector({ timeout, lookup, ...tls() });
        (to.protocol === 'https:' && secure ? secure : plain)(to, (error, socket) => {
          if (error) return done(error, null);
          this.#peers.set(to.host ?? to.hostname, socket.remoteAddress ?? '');
          done(null, socket);
        });
      },
    });
  }
}

interface ProxySetup {
  readonly tls: () => TlsConnectOptions;
  readonly timeout: number;
  readonly connections: number;
  readonly env: Environment;
}

function openProxy(undici: Undici, proxy: URL, setup: ProxySetup): Dispatcher {
  const { username, password } = proxy;
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const uri = new URL(proxy);
  uri.username = '';
  uri.password = '';
  return new undici.ProxyAgent({
    uri: uri.href,
    ...(username ? { token: `Basic ${Buffer.from(login).toString('base64')}` } : {}),
    proxyTunnel: false,
    connections: setup.connections,
    requestTls: { timeout: setup.timeout, ...setup.tls() },
    proxyTls: { timeout: setup.timeout, ...tlsOptions(undefined, setup.env)() },
  });
}

function openSocks(undici: Undici, proxy: URL, { tls, timeout, connections }: ProxySetup): Dispatcher {
  let secure: ReturnType<Undici['buildConnector']> | undefined;
  return new undici.Agent({
    connections,
    connect: (to, done) => {
      const port = Number(to.port || (to.protocol === 'https:' ? 443 : 80));
      connectThroughSocks(proxy, to.hostname, port, timeout).then(
        socket => {
          if (to.protocol !== 'https:') return done(null, socket);
          secure ??= undici.buildConnector({ timeout, ...tls() });
          secure({ ...to, httpSocket: socket }, done);
        },
        error => done(error, null),
      );
    },
  });
}

interface TlsConnectOptions {
  readonly secureContext?: SecureContext;
  readonly rejectUnauthorized?: boolean;
}

/** Made on demand: reading the system's authorities takes some milliseconds that plain http need not pay. */
function tlsOptions(tls: TlsSettings | undefined, env: Environment): () => TlsConnectOptions {
  return () => ({
    rejectUnauthorized: tls?.verify !== false,
    secureContext: createSecureContext({
      ca: [...systemAuthorities(env), ...(tls?.ca ?? [])],
      cert: tls?.clientCerts?.map(pair => pair.cert),
      key: tls?.clientCerts?.map(pair => pair.key),
    }),
  });
}

const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** The machine's authorities, as Go programs find them; node's own when there are none. */
function systemAuthorities(env: Environment): readonly string[] {
  const extra = env.NODE_EXTRA_CA_CERTS ? readIfThere(env.NODE_EXTRA_CA_CERTS) : undefined;
  for (const file of env.SSL_CERT_FILE ? [env.SSL_CERT_FILE] : bundles) {
    const text = readIfThere(file);
    if (text) return extra ? [text, extra] : [text];
  }
  return extra ? [...rootCertificates, extra] : rootCertificates;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Refuses a name that leads to a forbidden address. It is the address that is connected to: no second lookup follows. */
function guardedLookup(lookup: LookupFunction, refuse: readonly AddressKind[]): LookupFunction {
  if (refuse.length === 0) return lookup;
  return (hostname, options, done) =>
    lookup(hostname, options, (error, found, family) => {
      if (error) return done(error, found, family);
      const all = typeof found === 'string' ? [found] : found.map((one: LookupAddress) => one.address);
      const bad = all.map(addressKind).find(kind => refuse.includes(kind));
      if (bad) return done(Object.assign(new Error(article(bad)), { code: refusedAddress }), found, family);
      done(null, found, family);
    });
}

function article(kind: AddressKind): string {
  return `a ${kind}`;
}

function joined(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The body with the errors of its transfer turned into ours. */
function guarded(body: Readable, failure: (error: unknown) => unknown): HttpResponse['body'] {
  body.on('error', () => {});
  return {
    destroy: () => void body.destroy(),
    async *[Symbol.asyncIterator]() {
      try {
        yield* body as AsyncIterable<Uint8Array>;
      } catch (error) {
        throw failure(error);
      }
    },
  };
}

/**
 * Reads a whole body that is known to be small.
 * @throws BuildError `network` when it is longer than `maxBytes`; `what` names it
 */
export async function readBody(response: HttpResponse, maxBytes: number, what: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body) {
    length += part.length;
    if (length > maxBytes) {
      response.body.destroy();
      throw new BuildError('network', `${what} is larger than ${maxBytes} bytes, which is refused`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}

/** Reads at most `maxBytes` of a body and drops the rest: for error texts, which may be endless. */
export async function readStart(response: HttpResponse, maxBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of response.body) {
      parts.push(part);
      length += part.length;
      if (length >= maxBytes) break;
    }
  } catch {
    // What came before the break is all there is to show.
  }
  response.body.destroy();
  return Buffer.concat(parts, length).subarray(0, maxBytes);
}
