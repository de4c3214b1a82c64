// One registry host: finds out whether it speaks https or http (the latter only where that is allowed), proves who
// we are, follows redirects by our rules, and limits how much goes on at the same time.
import type { Readable } from 'node:stream';
import { BuildError, printable } from '../errors.ts';
import { isLoopbackHost } from '../host/address.ts';
import type { Http, HttpRequest, HttpResponse, TlsSettings } from '../host/http.ts';
import { Authorizer, type Need, wrongCredentials } from './auth.ts';
import type { Credentials } from './credentials.ts';
import { maxRedirects, nextHop, refusedKinds } from './places.ts';
import { Slots } from './slots.ts';
import { statusError } from './status-error.ts';

export interface HostOptions {
  /** Host and port to connect to. */
  readonly address: string;
  /** Host as users write it, the key of its credentials. */
  readonly name: string;
  /** http is allowed, and any certificate. */
  readonly insecure: boolean;
  readonly http: Http;
  readonly credentials: Credentials;
  tlsFor(host: string): TlsSettings | undefined;
  readonly trustedRealms: readonly string[];
  /** Milliseconds since 1970. */
  now(): number;
}

export interface Call {
  readonly method: HttpRequest['method'];
  /** Path and query below the host, or a URL that passed the rules of places.ts. */
  readonly to: string | URL;
  readonly need: Need;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called for each sending, which may happen more than once. */
  readonly body?: () => Uint8Array | Readable;
  /** Statuses that the caller understands; others are thrown. */
  readonly expect: readonly number[];
  /** For messages. */
  readonly what: string;
  /** How many idle timeouts the answer may take; default 1. */
  readonly patience?: number;
  readonly signal: AbortSignal;
}

export interface Answer extends HttpResponse {
  /** Where it came from in the end. */
  readonly url: URL;
}

/** Headers that may go to another host with a redirected GET. */
const harmlessHeaders = ['accept', 'range', 'if-range'];
const unreached = /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/;

export class RegistryHost {
  readonly name: string;
  /** At most 4 blobs go to and from a host at the same time. */
  readonly slots = new Slots(4);
  readonly #options: HostOptions;
  readonly #auth: Authorizer;
  #protocol: 'https:' | 'http:' | undefined;

  constructor(options: HostOptions) {
    this.name = options.name;
    this.#options = options;
    this.#auth = new Authorizer(options);
  }

  get askedForCredentials(): boolean {
    return this.#auth.wasAsked;
  }

  /** One attempt. @throws BuildError, with `retryable` in its facts where another attempt may help */
  async send(call: Call): Promise<Answer> {
    const answer = await this.#authorized(call);
    if (call.expect.includes(answer.status)) return answer;
    throw await statusError(answer, {
      name: this.name,
      need: call.need,
      what: call.what,
      loggedIn: await this.#auth.hasCredentials(call.need, call.signal),
      nowMs: this.#options.now(),
    });
  }

  async #authorized(call: Call): Promise<Answer> {
    const known = await this.#auth.header(call.need, call.signal);
    const first = await this.#reach(call, known);
    if (first.status !== 401) return first;
    first.body.destroy();
    const header = await this.#auth.answer(first, first.url, call.need, known, call.signal);
    const second = await this.#reach(call, header);
    if (second.status === 401 && header.startsWith('Basic ')) {
      second.body.destroy();
      throw wrongCredentials(this.name, call.need);
    }
    return second;
  }

  /** Settles the protocol with the first request. */
  async #reach(call: Call, authorization: string | undefined): Promise<Answer> {
    const decided = this.#protocol;
    if (decided) return this.#follow(call, decided, authorization);
    try {
      const answer = await this.#follow(call, 'https:', authorization);
      this.#protocol ??= 'https:';
      return answer;
    } catch (error) {
      if (!this.#mayUsePlainHttp() || !speaksPlainHttp(error)) throw firstContact(error);
    }
    try {
      const answer = await this.#follow(call, 'http:', authorization);
      this.#protocol ??= 'http:';
      return answer;
    } catch (error) {
      throw firstContact(error);
    }
  }

  #mayUsePlainHttp(): boolean {
    return this.#options.insecure || isLoopbackHost(this.#options.address);
  }

  async #follow(call: Call, protocol: string, authorization: string | undefined): Promise<Answer> {
    const own = new URL(call.to, `${protocol}//${this.#options.address}`);
    let url = own;
    let crossed = false;
    let peer: string | undefined;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const response = await this.#exchange(call, url, crossed ? undefined : { authorization }, peer);
      if (!isRedirect(response.status)) return Object.assign(response, { url });
      response.body.destroy();
      const hop = nextHop(url, response.header('location'));
      if (!mayFollow(call, response.status, hop.crossed)) {
        throw new BuildError(
          'hostile',
          `${printable(url.host)} redirects ${call.method} of ${call.what} to ${printable(hop.url.host)}, which is refused`,
        );
      }
      if (!crossed) peer = response.peer ?? '';
      crossed ||= hop.crossed;
      url = hop.url;
    }
    throw new BuildError('network', `${printable(own.host)} redirects more than ${maxRedirects} times`);
  }

  /** @param own undefined once another host was involved: then only the plain request is sent, to harmless places */
  async #exchange(
    call: Call,
    url: URL,
    own: { readonly authorization: string | undefined } | undefined,
    peer: string | undefined,
  ): Promise<HttpResponse> {
    const headers = own
      ? { ...call.headers, ...(own.authorization ? { authorization: own.authorization } : {}) }
      : Object.fromEntries(
          Object.entries(call.headers ?? {}).filter(([name]) => harmlessHeaders.includes(name)),
        );
    const tls = this.#options.tlsFor(url.host);
    return this.#options.http.send({
      method: call.method,
      url,
      headers,
      ...(call.body ? { body: call.body() } : {}),
      ...(tls ? { tls } : {}),
      ...(own ? {} : { refuse: refusedKinds(peer) }),
      ...(call.patience === undefined ? {} : { patience: call.patience }),
      signal: call.signal,
    });
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

/** Reading may go anywhere the rules allow; writing stays on the host and needs a status that keeps the method. */
function mayFollow(call: Call, status: number, crossed: boolean): boolean {
  if (call.method === 'GET' || call.method === 'HEAD') return true;
  return !crossed && (status === 307 || status === 308);
}

function speaksPlainHttp(error: unknown): boolean {
  if (!(error instanceof BuildError)) return false;
  return error.facts.tls === 'not-tls' || error.facts.errno === 'ECONNREFUSED';
}

/** A host that never answered is probably misspelt or down: waiting for it five times helps nobody. */
function firstContact(error: unknown): unknown {
  if (!(error instanceof BuildError) || !unreached.test(String(error.facts.errno ?? ''))) return error;
  return new BuildError(error.code, error.message, {
    cause: error.cause,
    facts: { ...error.facts, retryable: false },
    hint: error.hint ?? 'check the name of the registry, the network and the proxy settings',
  });
}
