// What is known about layers across builds: the space `layers` of the store's metadata, one value per layer id.
import type { Descriptor } from '../image/descriptor.ts';
import { type DiffId, type Digest, isDigest } from '../image/digest.ts';
import type { Compression } from '../image/media-type.ts';
import type { Meta } from '../store/store.ts';
import type { LayerId } from './layers.ts';

/** A blob that packs the layer. */
export interface KnownBlob {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  readonly compression: Compression;
  /** Of the codec, when we packed it; absent for a blob that the layer came with. */
  readonly level?: number;
  /** Only a build cache says that this blob packs the layer, and that it can be had. */
  readonly claimed?: true;
}

/** The tar that a layer was written as. */
export interface KnownTar {
  readonly diffId: DiffId;
  readonly size: number;
}

export interface LayerFacts {
  readonly blobs: readonly KnownBlob[];
  /** Bytes of the uncompressed tar. */
  readonly size?: number;
  /** Id of a tree in the store that is this layer though it has another name: a RUN's. */
  readonly tree?: string;
  /** Diff id of a RUN's layer that was made elsewhere, as a build cache has it. */
  readonly claimedAs?: DiffId;
  /** Of `tree:<id>`: what the tree looked like when it was complete (tree-checks.ts). */
  readonly summary?: string;
  /** Tars made of the layer, by the time their entries were clamped to in seconds; '' for none. */
  readonly tars?: Readonly<Record<string, KnownTar>>;
}

const nothing: LayerFacts = { blobs: [] };

export class FactsBook {
  readonly #meta: Meta;

  constructor(meta: Meta) {
    this.#meta = meta;
  }

  get(id: LayerId): LayerFacts {
    const value = this.#meta.get('layers', id) as LayerFacts | undefined;
    return isFacts(value) ? value : nothing;
  }

  update(id: LayerId, change: (facts: LayerFacts) => LayerFacts): void {
    const before = this.get(id);
    const after = change(before);
    if (after !== before) this.#meta.set('layers', id, after);
  }

  /**
   * Remembers a blob; one with the same digest is replaced only by one that the layer came with. A claim about a blob that
   * we packed is more than a claim.
   */
  addBlob(id: LayerId, blob: KnownBlob): void {
    this.update(id, facts => {
      const same = facts.blobs.find(known => known.digest === blob.digest);
      if (same && !isBetter(blob, same)) return facts;
      const { claimed: _, ...proven } = blob;
      const kept = same && !same.claimed ? proven : blob;
      return { ...facts, blobs: [...facts.blobs.filter(known => known !== same), kept] };
    });
  }

  /** Forgets what caches claim: about one blob, or everything. @returns whether there was such a claim */
  disclaim(digest?: Digest): boolean {
    let found = false;
    for (const [id, value] of [...this.#meta.entries('layers')]) {
      const facts = value as LayerFacts;
      if (!isFacts(facts)) continue;
      const blobs = facts.blobs.filter(
        blob => !blob.claimed || (digest !== undefined && blob.digest !== digest),
      );
      if (blobs.length === facts.blobs.length) continue;
      found = true;
      this.#meta.set('layers', id, { ...facts, blobs });
    }
    return found;
  }

  addTar(id: LayerId, clamp: string, tar: KnownTar): void {
    this.update(id, facts => ({ ...facts, tars: { ...facts.tars, [clamp]: tar } }));
    this.setSize(tar.diffId, tar.size);
  }

  setSize(id: LayerId, size: number): void {
    this.update(id, facts => (facts.size === size ? facts : { ...facts, size }));
  }
}

function isBetter(blob: KnownBlob, known: KnownBlob): boolean {
  if (blob.level !== undefined) return false;
  return known.level !== undefined || (known.claimed === true && !blob.claimed);
}

/** What was seen in an image first, what is only claimed last. */
export function trustedFirst(blobs: readonly KnownBlob[]): KnownBlob[] {
  return [...blobs.filter(blob => !blob.claimed), ...blobs.filter(blob => blob.claimed)];
}

/** Whether the layer came with this blob, so that it can be fetched again. */
export function cameWith(blob: KnownBlob): boolean {
  return blob.level === undefined;
}

export function descriptorOf(blob: KnownBlob, mediaType: string = blob.mediaType): Descriptor {
  return { mediaType, digest: blob.digest, size: blob.size };
}

function isFacts(value: LayerFacts | undefined): value is LayerFacts {
  return Array.isArray(value?.blobs) && value.blobs.every(blob => isDigest(blob?.digest));
}
