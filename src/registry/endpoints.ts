// Where a repository can be read from and written to: its mirrors in order, then the registry itself.
import { BuildError, messageOf, printable } from '../errors.ts';
import type { Http, TlsSettings } from '../host/http.ts';
import type { RetryPolicy } from '../host/retry.ts';
import type { Credentials } from './credentials.ts';
import { RegistryHost } from './registry-host.ts';
import type { Access } from './scope.ts';

/** A repository as users name it. */
export interface Repository {
  readonly domain: string;
  readonly path: string;
}

/** One place for a repository after registries.conf was applied. */
export interface Location extends Repository {
  readonly insecure: boolean;
}

/** A place to talk to. */
export interface Endpoint {
  readonly host: RegistryHost;
  /** Path below the host. */
  readonly path: string;
  /** For messages: `host/path`. */
  readonly shown: string;
}

export interface EndpointOptions {
  readonly http: Http;
  readonly credentials: Credentials;
  readonly retry: RetryPolicy;
  readonly trustedRealms: readonly string[];
  now(): number;
  /** Mirrors first. @throws BuildError `auth` when the repository is blocked */
  locate(repository: Repository, access: Access, reference: 'tag' | 'digest'): readonly Location[];
  tls(host: string): TlsSettings;
  isInsecure(host: string): boolean;
}

/** Docker Hub's registry has another name than its images. */
const hubRegistry = 'registry-1.docker.io';

export class Endpoints {
  readonly retry: RetryPolicy;
  readonly #options: EndpointOptions;
  readonly #hosts = new Map<string, RegistryHost>();
  readonly #tls = new Map<string, TlsSettings>();

  constructor(options: EndpointOptions) {
    this.#options = options;
    this.retry = options.retry;
  }

  /** For reading, mirrors first. */
  readable(repository: Repository, reference: 'tag' | 'digest'): readonly Endpoint[] {
    return this.#options.locate(repository, 'pull', reference).map(location => this.#endpoint(location));
  }

  /** For writing: the registry itself. */
  writable(repository: Repository): Endpoint {
    const [location] = this.#options.locate(repository, 'push', 'tag').slice(-1);
    if (!location) throw new BuildError('internal', `no place for ${printable(repository.path)}`);
    return this.#endpoint(location);
  }

  #endpoint(location: Location): Endpoint {
    const { domain, path } = location;
    return { host: this.#host(domain, location.insecure), path, shown: `${domain}/${path}` };
  }

  #host(name: string, insecure: boolean): RegistryHost {
    const address = name === 'docker.io' ? hubRegistry : name;
    const key = `${address} ${insecure}`;
    let host = this.#hosts.get(key);
    if (!host) {
      const { http, credentials, trustedRealms, now } = this.#options;
      const tlsFor = (other: string) => this.#tlsFor(other, other === address && insecure);
      host = new RegistryHost({ address, name, insecure, http, credentials, trustedRealms, now, tlsFor });
      this.#hosts.set(key, host);
    }
    return host;
  }

  #tlsFor(host: string, insecure: boolean): TlsSettings {
    const verify = !insecure && !this.#options.isInsecure(host);
    const key = `${host} ${verify}`;
    let tls = this.#tls.get(key);
    if (!tls) {
      tls = { ...this.#options.tls(host), verify };
      this.#tls.set(key, tls);
    }
    return tls;
  }
}

/**
 * Tries places in order until one succeeds.
 * @throws the last place's error, that of the registry itself, with what the mirrors said in `output`; what fails here, at once
 */
export async function firstThatWorks<T>(
  places: readonly Endpoint[],
  signal: AbortSignal,
  attempt: (place: Endpoint) => Promise<T>,
): Promise<T> {
  const notes: string[] = [];
  for (const [i, place] of places.entries()) {
    try {
      return await attempt(place);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof BuildError && error.code === 'store') throw error; // no other place mends a full disk
      if (i === places.length - 1) throw withNotes(error, notes);
      notes.push(`mirror ${place.shown}: ${messageOf(error)}`);
    }
  }
  throw new BuildError('network', 'no place is configured for this image');
}

function withNotes(error: unknown, notes: readonly string[]): unknown {
  if (notes.length === 0 || !(error instanceof BuildError)) return error;
  const { hint, facts, cause } = error;
  return new BuildError(error.code, error.message, {
    facts,
    cause,
    output: notes,
    ...(hint ? { hint } : {}),
  });
}
