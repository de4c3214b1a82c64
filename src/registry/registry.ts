// The room's door: registries as the rest of slipway sees them. Nothing is contacted, and no file read, before the
// first call that needs it.
import { BuildError } from '../errors.ts';
import { type Http, openHttp } from '../host/http.ts';
import type { Environment } from '../host/proxy.ts';
import { defaultRetry, type RetryPolicy } from '../host/retry.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import type { Platform } from '../image/platform.ts';
import { formatReference, type Reference, withDefaultTag } from '../image/reference.ts';
import { readCerts } from './certs.ts';
import { type Credentials, fixedCredentials, openCredentials } from './credentials.ts';
import { type BlobSink, downloadBlob, type OnProgress } from './download.ts';
import { Endpoints, type Repository } from './endpoints.ts';
import { listReferrers, listRepositories, listTags } from './lists.ts';
import { type FetchedImage, type FetchedManifest, fetchImage, fetchManifest } from './manifests.ts';
import { type PushedReference, type PushRequest, pushImage } from './push.ts';
import { checkPushRight } from './push-right.ts';
import { openRegistriesConf, type RegistriesConf } from './registries-conf.ts';
import { type BlobStream, openBlobStream } from './upload-stream.ts';

export interface RegistriesOptions {
  readonly env: Environment;
  /** The user's home directory. */
  readonly home: string;
  /** Where the system's configuration is; default /etc. */
  readonly etc?: string;
  /** `--tls-verify=false`: plain http and any certificate, for every host. */
  readonly insecure?: boolean;
  /** Hosts (`name:port`) for which plain http and any certificate will do. */
  readonly insecureHosts?: readonly string[];
  /** `--authfile`: the only file with credentials that is read. */
  readonly authFile?: string;
  /** `--cert-dir`: certificates for every host, instead of those in certs.d. */
  readonly certDir?: string;
  /** `--creds`: used instead of what is configured, for `host` (as users write it) or else for every registry, mirrors included. */
  readonly login?: { readonly username: string; readonly password: string; readonly host?: string };
  /** `registry=realm` pairs of hosts; beside SLIPWAY_TRUSTED_REALMS (separated by commas). */
  readonly trustedRealms?: readonly string[];
  readonly retry?: Partial<RetryPolicy>;
  /** Milliseconds; defaults 30 s and 60 s. */
  readonly connectTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  readonly userAgent?: string;
  readonly http?: Http;
  /** Milliseconds since 1970; default Date.now. */
  readonly now?: () => number;
}

/** An image in a registry, for one platform, without its layers. */
export interface ResolvedImage extends FetchedImage {
  /** As asked. */
  readonly reference: Reference;
  /** `domain/path`, the origin of its blobs. */
  readonly repository: string;
  /** Of what the tag stands for: the index when there is one, else the manifest. */
  readonly top: Descriptor;
}

export type { BlobStream, FetchedManifest, PushedReference, PushRequest, Repository };

export interface Registries {
  /**
   * Manifest and config of the image for `platform`; a single image is returned whatever its platform is, see `config.platform`.
   * @throws BuildError `not-found` (no such tag, nothing for the platform), `unsupported` (no image), `auth`, `network`, `integrity`
   */
  resolve(reference: Reference, platform: Platform, signal: AbortSignal): Promise<ResolvedImage>;
  /**
   * The document under a tag or digest, verified; `latest` without either.
   * @param fresh the registry itself is asked, not its mirrors, which may be behind. Default false
   */
  fetchManifest(reference: Reference, signal: AbortSignal, fresh?: boolean): Promise<FetchedManifest>;
  /** Streams a blob into `sink`, verified when this resolves. At most 4 from one host at the same time. */
  download(
    repository: Repository,
    descriptor: Descriptor,
    sink: BlobSink,
    signal: AbortSignal,
    onProgress?: OnProgress,
  ): Promise<void>;
  /** Sends blobs and documents, tags last. @returns what each reference now stands for */
  push(request: PushRequest, signal: AbortSignal): Promise<readonly PushedReference[]>;
  /** Asks whether a push would be let in, without sending anything. @throws BuildError `auth`, `not-found` */
  checkPushRight(repository: Repository, signal: AbortSignal): Promise<void>;
  /** Begins to send a blob that is still being made; where that fails it is for {@link push} to send it. */
  stream(repository: Repository, signal: AbortSignal): BlobStream;
  listTags(repository: Repository, signal: AbortSignal): Promise<readonly string[]>;
  /** Repositories of a host, where it tells (`_catalog`). */
  listRepositories(domain: string, signal: AbortSignal): Promise<readonly string[]>;
  /** What refers to a manifest: signatures, SBOMs. By the referrers API or the fallback tag. */
  listReferrers(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
    artifactType?: string,
  ): Promise<readonly Descriptor[]>;
  /** Asks the registry whether it lets somebody in with these credentials. @throws BuildError `auth`, `network` */
  checkLogin(domain: string, username: string, password: string, signal: AbortSignal): Promise<void>;
  /** Ends idle connections. */
  close(): Promise<void>;
}

export function openRegistries(options: RegistriesOptions): Registries {
  return new ConfiguredRegistries(options);
}

class ConfiguredRegistries implements Registries {
  readonly #options: RegistriesOptions;
  readonly #http: Http;
  readonly #conf: RegistriesConf;
  readonly #endpoints: Endpoints;

  constructor(options: RegistriesOptions) {
    this.#options = options;
    this.#http = options.http ?? openHttp(httpOptions(options));
    this.#conf = openRegistriesConf({ env: options.env, home: options.home, etc: options.etc ?? '/etc' });
    const { login } = options;
    this.#endpoints = this.#makeEndpoints(
      login ? fixedCredentials(login.username, login.password, login.host) : openCredentials(options),
    );
  }

  #makeEndpoints(credentials: Credentials): Endpoints {
    const {
      env,
      home,
      etc = '/etc',
      insecure = false,
      insecureHosts = [],
      trustedRealms = [],
      certDir,
    } = this.#options;
    const fromEnv = (env.SLIPWAY_TRUSTED_REALMS ?? '').split(',').map(pair => pair.trim());
    const isInsecure = (host: string) =>
      insecure || insecureHosts.includes(host) || this.#conf.isInsecure(host);
    return new Endpoints({
      http: this.#http,
      credentials,
      retry: { ...defaultRetry, ...this.#options.retry },
      trustedRealms: [...trustedRealms, ...fromEnv.filter(Boolean)],
      now: this.#options.now ?? Date.now,
      locate: (repository, access, reference) =>
        this.#conf.locate(repository, access, reference).map(place => ({
          ...place,
          insecure: place.insecure || insecure || insecureHosts.includes(place.domain),
        })),
      tls: host => readCerts(host, { home, etc, env, ...(certDir === undefined ? {} : { certDir }) }),
      isInsecure,
    });
  }

  async resolve(asked: Reference, platform: Platform, signal: AbortSignal): Promise<ResolvedImage> {
    const reference = withDefaultTag(asked);
    const which = reference.digest ?? reference.tag ?? 'latest';
    const name = formatReference(reference);
    const image = await fetchImage(this.#endpoints, reference, which, platform, name, signal);
    return {
      ...image,
      reference,
      repository: `${reference.domain}/${reference.path}`,
      top: image.index?.descriptor ?? image.descriptor,
    };
  }

  fetchManifest(reference: Reference, signal: AbortSignal, fresh?: boolean): Promise<FetchedManifest> {
    const which = reference.digest ?? reference.tag ?? 'latest';
    return fetchManifest(this.#endpoints, reference, which, signal, fresh);
  }

  download(
    repository: Repository,
    descriptor: Descriptor,
    sink: BlobSink,
    signal: AbortSignal,
    onProgress?: OnProgress,
  ): Promise<void> {
    return downloadBlob(this.#endpoints, repository, descriptor, sink, signal, onProgress);
  }

  push(request: PushRequest, signal: AbortSignal): Promise<readonly PushedReference[]> {
    return pushImage(this.#endpoints, request, signal);
  }

  checkPushRight(repository: Repository, signal: AbortSignal): Promise<void> {
    return checkPushRight(this.#endpoints, repository, signal);
  }

  stream(repository: Repository, signal: AbortSignal): BlobStream {
    return openBlobStream(this.#endpoints.writable(repository), signal);
  }

  listTags(repository: Repository, signal: AbortSignal): Promise<readonly string[]> {
    return listTags(this.#endpoints, repository, signal);
  }

  listRepositories(domain: string, signal: AbortSignal): Promise<readonly string[]> {
    return listRepositories(this.#endpoints, domain, signal);
  }

  listReferrers(
    repository: Repository,
    digest: Digest,
    signal: AbortSignal,
    artifactType?: string,
  ): Promise<readonly Descriptor[]> {
    return listReferrers(this.#endpoints, repository, digest, signal, artifactType);
  }

  async checkLogin(domain: string, username: string, password: string, signal: AbortSignal): Promise<void> {
    const endpoints = this.#makeEndpoints(fixedCredentials(username, password, domain));
    const { host } = endpoints.writable({ domain, path: '' });
    const answer = await host.send({
      method: 'GET',
      to: '/v2/',
      need: { repository: '', access: 'pull' },
      expect: [200],
      what: 'the login',
      signal,
    });
    answer.body.destroy();
    if (!host.askedForCredentials) {
      throw new BuildError('auth', `${domain} asks nobody for credentials, so these cannot be checked`, {
        facts: { host: domain, unprotected: true },
      });
    }
  }

  close(): Promise<void> {
    return this.#http.close();
  }
}

function httpOptions(options: RegistriesOptions) {
  const { env, connectTimeoutMs, idleTimeoutMs, userAgent } = options;
  return {
    env,
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(userAgent === undefined ? {} : { userAgent }),
  };
}
