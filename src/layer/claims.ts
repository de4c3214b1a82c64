// What build caches say about layers, until somebody has read the bytes: a cache may be out of date, damaged or a lie.
import { BuildError, messageOf } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type DiffId, type Digest, isDigest } from '../image/digest.ts';
import { compressionOf } from '../image/media-type.ts';
import { cameWith, type FactsBook } from './facts.ts';
import type { LayerId } from './layers.ts';

export class Claims {
  readonly #facts: FactsBook;
  /** Blobs that were not what was claimed. */
  readonly #refused = new Set<Digest>();
  #refusesAll = false;

  constructor(facts: FactsBook) {
    this.#facts = facts;
  }

  /** @param has whether a layer can be had already @returns false when the claim is not believed */
  take(
    id: LayerId,
    diffId: DiffId,
    { mediaType, digest, size }: Descriptor,
    has: (id: LayerId) => boolean,
  ): boolean {
    if (this.#refusesAll || this.#refused.has(digest)) return false;
    if (isDigest(id) ? id !== diffId : !this.#takeName(id, diffId, has)) return false;
    if (this.#facts.get(diffId).blobs.some(blob => cameWith(blob) && !blob.claimed)) return true;
    const compression = compressionOf(mediaType) ?? (digest === diffId ? 'uncompressed' : 'gzip');
    this.#facts.addBlob(diffId, { mediaType, digest, size, compression, claimed: true });
    return true;
  }

  /** A tree that nobody serialised stays what it is: what is claimed about it cannot be compared, and is not needed. */
  #takeName(id: LayerId, diffId: DiffId, has: (id: LayerId) => boolean): boolean {
    const { tars, claimedAs } = this.#facts.get(id);
    const known = tars?.['']?.diffId ?? (has(id) ? claimedAs : undefined);
    if (known !== undefined) return known === diffId;
    if (!has(id)) this.#facts.update(id, facts => ({ ...facts, claimedAs: diffId }));
    return true;
  }

  /**
   * A blob could not be fetched or read. Where only a cache spoke for it the claim is forgotten, and with it, when the
   * cache cannot be reached, everything else that is only claimed.
   * @returns what to throw
   */
  lost(digest: Digest, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted || !(error instanceof BuildError) || error.code === 'store') return error;
    const isBroken = error.code === 'integrity' || error.code === 'hostile' || error.code === 'not-found';
    // Two layers may be claimed to be packed in one blob.
    if (!this.#facts.disclaim(digest) && !this.#refused.has(digest)) return error;
    this.#refused.add(digest);
    if (!isBroken) {
      this.#refusesAll = true;
      this.#facts.disclaim();
    }
    return new BuildError('store', `a layer of a build cache cannot be used: ${messageOf(error)}`, {
      cause: error,
      facts: { ...error.facts, damaged: digest },
    });
  }
}
