// An artifact under a tag of a registry.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { maxManifestBytes } from '../image/manifest.ts';
import type { Platform } from '../image/platform.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import { MemorySink } from '../registry/download.ts';
import { rankCandidates } from '../registry/manifests.ts';
import { addOrigin } from '../registry/pull.ts';
import { memoryBlob } from '../registry/push.ts';
import { storedBlob } from '../registry/push-stored.ts';
import type { FetchedManifest, Registries } from '../registry/registry.ts';
import type { BlobSource, Store } from '../store/store.ts';
import { type Artifact, type Documents, type Draft, emptyConfig, type Place } from './place.ts';
import { type Register, rewrite, type Seen } from './rewrite.ts';

export interface RegistryPlaceOptions {
  readonly registries: Registries;
  readonly store: Store;
  /** Gets blobs that are sent and are not in the store. */
  readonly source: BlobSource;
  /** Least pause before the name is looked at again, in milliseconds; default 1000. */
  readonly settleMs?: number;
}

/** @param reference with a tag */
export function registryPlace(reference: Reference, options: RegistryPlaceOptions): Place {
  return new RegistryPlace(reference, options);
}

class RegistryPlace implements Place, Register {
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

  update(
    blobs: readonly Descriptor[],
    draft: (current: Artifact | undefined) => Draft | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    return rewrite(this, blobs, draft, this.#options.settleMs ?? 1000, signal);
  }

  async look(signal: AbortSignal): Promise<Seen> {
    const top = await this.#manifest(this.#reference, signal, true);
    return { digest: top?.descriptor.digest, artifact: await this.#current(top, signal) };
  }

  async peek(signal: AbortSignal): Promise<Digest | undefined> {
    return (await this.#manifest(this.#reference, signal, true))?.descriptor.digest;
  }

  async send(blobs: readonly Descriptor[], signal: AbortSignal): Promise<void> {
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

  async sendConfig({ descriptor, bytes }: Documents['config'], signal: AbortSignal): Promise<void> {
    const blobs = [memoryBlob(descriptor, Buffer.from(bytes))];
    await this.#options.registries.push({ references: [this.#reference], documents: [], blobs }, signal);
  }

  async put({ descriptor, bytes }: Documents['manifest'], signal: AbortSignal): Promise<void> {
    const documents = [{ mediaType: descriptor.mediaType, bytes: Buffer.from(bytes) }];
    await this.#options.registries.push({ references: [this.#reference], documents, blobs: [] }, signal);
  }

  lacksBlobs(error: unknown): boolean {
    return error instanceof BuildError && /BLOB_UNKNOWN/.test(String(error.facts.registryCode ?? ''));
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
    if (config.digest === emptyConfig.digest) {
      return { descriptor, manifest: document, config: Buffer.from(emptyConfig.text) };
    }
    if (config.size > maxManifestBytes) {
      throw new BuildError(
        'hostile',
        `the config of ${this.name} has ${config.size} bytes; more than ${maxManifestBytes} are not read`,
      );
    }
    const sink = new MemorySink();
    await this.#options.registries.download(this.#reference, config, sink, signal);
    return { descriptor, manifest: document, config: sink.bytes };
  }
}
