// Proving who we are to one registry: Basic, or Bearer tokens from the realm that the registry names (distribution's
// token and oauth2 specifications). Tokens are kept in memory and renewed before they expire.
import { BuildError, printable } from '../errors.ts';
import {
  type Http,
  type HttpRequest,
  type HttpResponse,
  readBody,
  readStart,
  type TlsSettings,
} from '../host/http.ts';
import { parseRetryAfter } from '../host/retry.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Credential } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { decideRealm, nextHop, refusedKinds } from './places.ts';
import { type Access, mergeScopes, repositoryScope } from './scope.ts';

/** What a request is about. */
export interface Need {
  /** Path below the host; empty for requests about the registry itself. */
  readonly repository: string;
  readonly access: Access;
  /** Further scopes, such as pull on the repository that a blob is mounted from. */
  readonly extraScopes?: readonly string[];
}

export interface AuthOptions {
  readonly http: Http;
  readonly credentials: Credentials;
  /** Host as users write it. */
  readonly name: string;
  tlsFor(host: string): TlsSettings | undefined;
  /** `registry=realm` pairs of hosts that may see each other's credentials. */
  readonly trustedRealms: readonly string[];
  /** Milliseconds since 1970. */
  now(): number;
}

type Scheme =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'basic' }
  | {
      readonly kind: 'bearer';
      readonly challenge: Challenge;
      readonly registry: URL;
      readonly peer: string | undefined;
    };

interface Token {
  readonly header: string;
  /** Milliseconds since 1970. */
  readonly renewAt: number;
}

const maxTokenBytes = 1024 * 1024;
const clientId = 'slipway';

export class Authorizer {
  readonly #options: AuthOptions;
  #scheme: Scheme = { kind: 'unknown' };
  readonly #tokens = new Map<string, Promise<Token>>();
  /** Scopes that the registry asked for beyond ours, by need. */
  readonly #asked = new Map<string, string>();

  constructor(options: AuthOptions) {
    this.#options = options;
  }

  /** The Authorization header for a request, as far as the registry is known; undefined when it asked for nothing yet. */
  async header(need: Need, signal: AbortSignal): Promise<string | undefined> {
    if (this.#scheme.kind === 'unknown') return undefined;
    const credential = await this.#credential(need, signal);
    if (this.#scheme.kind === 'bearer')
      return (await this.#token(this.#scheme, need, credential, signal)).header;
    return credential?.kind === 'password' ? basic(credential) : undefined;
  }

  /**
   * Learns from a 401.
   * @param refused the header that did not suffice
   * @returns the header to try next
   * @throws BuildError `auth` when there is nothing better to offer
   */
  async answer(
    response: HttpResponse,
    registry: URL,
    need: Need,
    refused: string | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const challenges = parseChallenges(response.header('www-authenticate'));
    const bearer = challenges.find(challenge => challenge.scheme === 'bearer');
    if (bearer) {
      this.#scheme = { kind: 'bearer', challenge: bearer, registry, peer: response.peer };
      const id = needId(need);
      const scope = bearer.params.get('scope');
      if (scope !== undefined) this.#asked.set(id, scope);
      if (refused !== undefined) this.#tokens.clear();
    } else if (challenges.some(challenge => challenge.scheme === 'basic')) {
      this.#scheme = { kind: 'basic' };
    } else throw unauthorized(this.#options.name, need, 'it does not say how to log in');
    const header = await this.header(need, signal);
    if (header === undefined) throw unauthorized(this.#options.name, need, 'it asks for credentials');
    if (header === refused) throw wrongCredentials(this.#options.name);
    return header;
  }

  /** Whether the registry asked who we are. */
  get wasAsked(): boolean {
    return this.#scheme.kind !== 'unknown';
  }

  /** Whether somebody is logged in here, for what a message says. */
  async hasCredentials(need: Need, signal: AbortSignal): Promise<boolean> {
    return (await this.#credential(need, signal)) !== undefined;
  }

  #credential(need: Need, signal: AbortSignal): Promise<Credential | undefined> {
    return this.#options.credentials.find(this.#options.name, need.repository, signal);
  }

  #token(
    scheme: Extract<Scheme, { kind: 'bearer' }>,
    need: Need,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<Token> {
    if (credential?.kind === 'bearer') {
      return Promise.resolve({ header: `Bearer ${credential.token}`, renewAt: Number.POSITIVE_INFINITY });
    }
    const own = need.repository ? [repositoryScope(need.repository, need.access)] : [];
    const scopes = mergeScopes([...own, ...(need.extraScopes ?? [])], this.#asked.get(needId(need)));
    const id = [needId(need), ...scopes].join(' ');
    const fresh = () => {
      const made = this.#requestToken(scheme, scopes, need, credential, signal);
      made.catch(() => this.#tokens.delete(id));
      this.#tokens.set(id, made);
      return made;
    };
    const known = this.#tokens.get(id);
    if (!known) return fresh();
    return known.then(
      token => (token.renewAt > this.#options.now() ? token : fresh()),
      // The one who asked first may have been interrupted; that must not fail the others.
      error => (error instanceof BuildError ? Promise.reject(error) : fresh()),
    );
  }

  async #requestToken(
    scheme: Extract<Scheme, { kind: 'bearer' }>,
    scopes: readonly string[],
    need: Need,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<Token> {
    const { name, trustedRealms, now } = this.#options;
    const realm = decideRealm(scheme.registry, scheme.challenge.params.get('realm'), trustedRealms);
    if (credential && !realm.trusted) throw strangeRealm(scheme.registry, realm.url);
    const service = scheme.challenge.params.get('service');
    const near = realm.url.host === scheme.registry.host;
    const base = {
      tls: this.#options.tlsFor(realm.url.host),
      refuse: near ? [] : refusedKinds(scheme.peer),
      signal,
    };
    const request =
      credential?.kind === 'identity'
        ? oauthRequest(realm.url, service, scopes, credential.token)
        : getRequest(realm.url, service, scopes, credential);
    const { tls, ...rest } = base;
    const response = await this.#sendToken({ ...request, ...rest, ...(tls ? { tls } : {}) });
    if (response.status !== 200) throw await tokenRefused(response, name, realm.url, need, credential, now());
    const body = await readBody(response, maxTokenBytes, `the token from ${printable(realm.url.host)}`);
    return readToken(body, realm.url, now());
  }

  /** Redirects of a token request stay with the token server. */
  async #sendToken(
    request: Omit<HttpRequest, 'headers'> & { headers: Record<string, string> },
  ): Promise<HttpResponse> {
    const response = await this.#options.http.send(request);
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    response.body.destroy();
    const hop = nextHop(request.url, response.header('location'));
    if (hop.crossed || request.method !== 'GET') {
      throw new BuildError(
        'hostile',
        `the token server ${printable(request.url.host)} redirects to ${printable(hop.url.host)}, which is refused`,
      );
    }
    return this.#options.http.send({ ...request, url: hop.url });
  }
}

function needId(need: Need): string {
  return `${need.repository}:${need.access}`;
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

type TokenRequest = Pick<HttpRequest, 'method' | 'url' | 'body'> & { headers: Record<string, string> };

function getRequest(
  realm: URL,
  service: string | undefined,
  scopes: readonly string[],
  credential: Credential | undefined,
): TokenRequest {
  const url = new URL(realm);
  if (service) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const login = credential?.kind === 'password' ? credential : undefined;
  if (login) url.searchParams.set('account', login.username);
  return { method: 'GET', url, headers: login ? { authorization: basic(login) } : {} };
}

function oauthRequest(
  url: URL,
  service: string | undefined,
  scopes: readonly string[],
  refreshToken: string,
): TokenRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: clientId,
    refresh_token: refreshToken,
    ...(service ? { service } : {}),
    ...(scopes.length > 0 ? { scope: scopes.join(' ') } : {}),
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', url, headers, body: form.toString() };
}

function readToken(body: Buffer, realm: URL, nowMs: number): Token {
  let json: Record<string, unknown> | null = null;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    // The text may hold the token: it is not quoted.
  }
  const token = json?.token ?? json?.access_token;
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new BuildError('network', `${printable(realm.host)} answered without a token`);
  }
  const seconds = typeof json?.expires_in === 'number' && json.expires_in > 0 ? json.expires_in : 60;
  return { header: `Bearer ${token}`, renewAt: nowMs + seconds * 800 };
}

async function tokenRefused(
  response: HttpResponse,
  name: string,
  realm: URL,
  need: Need,
  credential: Credential | undefined,
  nowMs: number,
): Promise<BuildError> {
  await readStart(response, 64 * 1024);
  const { status } = response;
  if (status === 400 || status === 401 || status === 403) {
    if (credential) return wrongCredentials(name, need);
    return unauthorized(name, need, 'it gives no token without credentials');
  }
  const busy = status === 429 || status >= 500;
  const retryAfterMs = parseRetryAfter(response.header('retry-after'), nowMs);
  return new BuildError(
    'network',
    `the token server ${printable(realm.host)} answered with status ${status}`,
    {
      facts: { status, retryable: busy, retryAfterMs },
    },
  );
}

function about(need: Need): string {
  return need.repository ? ` to ${need.access === 'push' ? 'push to' : 'pull from'} ${need.repository}` : '';
}

/** Nobody is logged in, and the registry wants somebody. */
export function unauthorized(name: string, need: Need, why: string): BuildError {
  return new BuildError('auth', `${printable(name)} does not let you in${about(need)}: ${why}`, {
    hint: `log in first: slipway login ${printable(name)}`,
    facts: { host: name, repository: need.repository, scope: scopeOf(need) },
  });
}

export function wrongCredentials(name: string, need?: Need): BuildError {
  return new BuildError(
    'auth',
    `${printable(name)} refuses the user name or password that is configured for it`,
    {
      hint: `log in again: slipway login ${printable(name)}`,
      facts: { host: name, ...(need ? { repository: need.repository, scope: scopeOf(need) } : {}) },
    },
  );
}

export function scopeOf(need: Need): string | undefined {
  return need.repository ? repositoryScope(need.repository, need.access) : undefined;
}

function strangeRealm(registry: URL, realm: URL): BuildError {
  const pair = printable(`${registry.host}=${realm.host}`);
  return new BuildError(
    'auth',
    `${printable(registry.host)} wants its credentials to be sent to ${printable(realm.host)}, another host, which is refused`,
    {
      hint: `if the two belong together, set SLIPWAY_TRUSTED_REALMS=${pair}`,
      facts: { host: registry.host, realm: realm.host },
    },
  );
}
