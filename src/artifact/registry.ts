// An artifact under a tag of a registry. A tag cannot be changed on condition (OCI distribution-spec has no such thing),
// so whoever writes looks again afterwards, and writes once more when somebody else's writing came in between:
//
//   read -> send blobs -> still the same? -> put manifest -> pause -> read: as wanted? -> done
//    ^                         | no                                      | no
//    '-------------------------+-----------------------------------------'
//
// Something is lost only when another writer takes longer than the pause from its last look to its own put.
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { maxManifestBytes } from '../image/manifest.ts';
import type { Platform } from '../image/platform.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import type { BlobSink } from '../registry/download.ts';
import { rankCandidates } from '../registry/manifests.ts';
import { addOrigin } from '../registry/pull.ts';
import { memoryBlob } from '../registry/push.ts';
import { storedBlob } from '../registry/push-stored.ts';
import type { FetchedManifest, Registries } from '../registry/registry.ts';
import type { BlobSource, Store } from '../store/store.ts';
import { type Artifact, type Draft, documentsOf, type Place } from './place.ts';

export interface RegistryPlaceOptions {
  readonly registries: Registries;
  readonly store: Store;
  /** Gets blobs that are sent and are not in the store. */
  readonly source: BlobSource;
  /** Least pause before the name is looked at again, in milliseconds; default 1000. */
  readonly settleMs?: number;
}

const maxAttempts = 40;

/** @param reference with a tag */
export function registryPlace(reference: Reference, options: RegistryPlaceOptions): Place {
  return new RegistryPlace(reference, options);
}

class RegistryPlace implements Place {
  readonly name: string;
  readonly #reference: Reference;
  readonly #options: RegistryPlaceOptions;

  constructor(reference: Reference, options: RegistryPlaceOptions) {
    this.name = familiarReference(reference);
    this.#reference = reference;
    this.#options = options;
  }

  async read(platforms: readonly Platform[], signal: AbortSignal): Promise<readonly Artifact[]> {
    const top = await this.#manifest(this.#reference, signal, false);
    if (!top) return [];
    const { document } = top;
    if (document.kind === 'manifest') return [await this.#withConfig(top, signal)];
    const wanted = new Map<Digest, Descriptor>();
    for (const platform of platforms) {
      const [nearest] = rankCandidates(document.manifests, platform);
      if (nearest) wanted.set(nearest.digest, nearest);
    }
    const found: Artifact[] = [];
    for (const { digest } of wanted.values()) {
      const child = await this.#manifest({ ...this.#reference, digest }, signal, false);
      if (child?.document.kind === 'manifest') found.push(await this.#withConfig(child, signal));
    }
    return found;
  }

  remember(digest: Digest): void {
    const { domain, path } = this.#reference;
    addOrigin(this.#options.store, digest, `${domain}/${path}`);
  }

  async update(
    blobs: readonly Descriptor[],
    draft: (current: Artifact | undefined) => Draft | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const sent = new Set<Digest>();
    let isIncomplete = false;
    for (let attempt = 0; ; attempt++) {
      const top = await this.#manifest(this.#reference, signal, true);
      const current = isIncomplete ? undefined : await this.#current(top, signal);
      const next = draft(current);
      if (!next) return;
      if (attempt === maxAttempts) {
        throw new BuildError('network', `others write ${this.name} all the time`, {
          hint: 'give each builder a name of its own to write, and let all of them read all names',
        });
      }
      const there = new Set(current?.manifest.layers.map(({ digest }) => digest));
      const missing = blobs.filter(({ digest }) => !there.has(digest) && !sent.has(digest));
      await this.#send(missing, signal);
      for (const { digest } of missing) sent.add(digest);
      try {
        const tookMs = await this.#publish(next, top?.descriptor.digest, signal);
        await pause(this.#pauseMs(tookMs, attempt), signal);
        isIncomplete = false;
      } catch (error) {
        // The registry lost blobs of what is there now: begin anew, without them.
        if (isIncomplete || !current || !lacksBlobs(error)) throw error;
        isIncomplete = true;
      }
    }
  }

  /** Two that are in each other's way come back at different times. */
  #pauseMs(tookMs: number | undefined, attempt: number): number {
    if (tookMs === undefined) return Math.random() * 50 * (attempt + 1);
    return Math.max(this.#options.settleMs ?? 1000, 5 * tookMs) + Math.random() * 100;
  }

  async #manifest(
    reference: Reference,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<FetchedManifest | undefined> {
    try {
      return await this.#options.registries.fetchManifest(reference, signal, fresh);
    } catch (error) {
      if (error instanceof BuildError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  /** A config that is gone or broken is replaced like one that was never there. */
  async #current(top: FetchedManifest | undefined, signal: AbortSignal): Promise<Artifact | undefined> {
    if (!top) return undefined;
    try {
      return await this.#withConfig(top, signal);
    } catch (error) {
      if (error instanceof BuildError && ['integrity', 'hostile', 'not-found'].includes(error.code)) {
        if (top.document.kind === 'manifest')
          return { descriptor: top.descriptor, manifest: top.document, config: Buffer.alloc(0) };
      }
      throw error;
    }
  }

  async #withConfig({ document, descriptor }: FetchedManifest, signal: AbortSignal): Promise<Artifact> {
    if (document.kind !== 'manifest') {
      throw new BuildError('unsupported', `${this.name} is an image for several platforms`);
    }
    const { config } = document;
    if (config.size > maxManifestBytes) {
      throw new BuildError(
        'hostile',
        `the config of ${this.name} has ${config.size} bytes; more than ${maxManifestBytes} are not read`,
      );
    }
    const sink = new Memory();
    await this.#options.registries.download(this.#reference, config, sink, signal);
    return { descriptor, manifest: document, config: sink.bytes };
  }

  async #send(blobs: readonly Descriptor[], signal: AbortSignal): Promise<void> {
    if (blobs.length === 0) return;
    const { registries, store, source } = this.#options;
    await registries.push(
      {
        references: [this.#reference],
        documents: [],
        blobs: blobs.map(blob => storedBlob(blob, store, source, [this.#reference.domain], signal)),
        onDelivered: digest => this.remember(digest),
      },
      signal,
    );
  }

  /** @returns milliseconds from the last look to the end; undefined when somebody else wrote meanwhile, and nothing was done */
  async #publish(
    draft: Draft,
    expected: Digest | undefined,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { registries } = this.#options;
    const { manifest, config } = documentsOf(draft);
    const references = [this.#reference];
    const blobs = [memoryBlob(config.descriptor, Buffer.from(config.bytes))];
    await registries.push({ references, documents: [], blobs }, signal);
    const started = performance.now();
    const now = await this.#manifest(this.#reference, signal, true);
    if (now?.descriptor.digest !== expected) return undefined;
    const { mediaType } = manifest.descriptor;
    const documents = [{ mediaType, bytes: Buffer.from(manifest.bytes) }];
    await registries.push({ references, documents, blobs: [] }, signal);
    return performance.now() - started;
  }
}

function lacksBlobs(error: unknown): boolean {
  return error instanceof BuildError && /BLOB_UNKNOWN/.test(String(error.facts.registryCode ?? ''));
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal });
}

class Memory implements BlobSink {
  #parts: Uint8Array[] = [];

  async write(chunk: Uint8Array): Promise<void> {
    this.#parts.push(Uint8Array.from(chunk));
  }

  async restart(): Promise<void> {
    this.#parts = [];
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
