// What tests of remote caches share: machines with empty stores, a registry that is counted, and what is in it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { type CountingProxy, startCountingProxy } from './counting-proxy.ts';
import { type RunningRegistry, startDockerRegistry } from './docker-registry.ts';
import { type BaseRegistry, startRegistry } from './fixtures.ts';
import { type Ended, type Program, program } from './program.ts';

export interface CacheWorld {
  /** The registry behind a proxy that counts. */
  readonly proxy: CountingProxy;
  readonly registry: RunningRegistry;
  /** slipway with an empty store. */
  machine(): Program;
  stop(): Promise<void>;
}

export async function startCacheWorld(): Promise<CacheWorld> {
  const bases: BaseRegistry = await startRegistry();
  const registry = await startDockerRegistry();
  const proxy = await startCountingProxy(registry.host);
  return {
    proxy,
    registry,
    machine: () => program({ CONTAINERS_REGISTRIES_CONF: bases.registriesConf }),
    async stop() {
      await proxy[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
      await bases.stop();
    },
  };
}

/** @throws Error with the output unless it succeeds */
export function build(slipway: Program, ...args: string[]): Promise<Ended> {
  return slipway.must(['build', '--progress=plain', ...args]);
}

/** `2 of 3`. */
export function cachedSteps({ stderr }: Ended): string | undefined {
  return /(\d+ of \d+) steps cached/.exec(stderr)?.[1];
}

/** Digests of the blobs that were fetched. */
export function fetchedBlobs(asked: readonly string[]): string[] {
  return asked.flatMap(line => /^GET \/v2\/.*\/blobs\/(sha256:[0-9a-f]{64})/.exec(line)?.[1] ?? []);
}

export interface ManifestJson {
  readonly schemaVersion: number;
  readonly mediaType: string;
  readonly config: { readonly digest: string; readonly mediaType: string; readonly size: number };
  readonly layers: readonly { readonly digest: string; readonly mediaType: string; readonly size: number }[];
  readonly artifactType?: string;
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';

export async function manifestOf(host: string, repository: string, tag: string): Promise<ManifestJson> {
  const answer = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    headers: { accept: manifestType },
  });
  assert.equal(answer.status, 200, `${repository}:${tag}`);
  return (await answer.json()) as ManifestJson;
}

export async function blobOf(host: string, repository: string, digest: string): Promise<Buffer> {
  const answer = await fetch(`http://${host}/v2/${repository}/blobs/${digest}`);
  assert.equal(answer.status, 200, digest);
  return Buffer.from(await answer.arrayBuffer());
}

/** Puts a blob there as it is. @returns its descriptor without a type */
export async function putBlob(
  host: string,
  repository: string,
  bytes: Uint8Array,
): Promise<{ digest: string; size: number }> {
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const begun = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(begun.headers.get('location') ?? '', `http://${host}`);
  location.searchParams.set('digest', digest);
  const ended = await fetch(location, {
    method: 'PUT',
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  });
  assert.equal(ended.status, 201);
  return { digest, size: bytes.length };
}

export async function putManifest(
  host: string,
  repository: string,
  tag: string,
  manifest: unknown,
): Promise<void> {
  const put = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    body: JSON.stringify(manifest),
    headers: { 'content-type': manifestType },
  });
  assert.equal(put.status, 201, await put.text());
}
