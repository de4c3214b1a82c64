// Sending a blob while it is made, its digest unknown until the end (OCI distribution-spec, pushing a blob in chunks): a
// session is begun, the bytes go in one PATCH as they come, the digest closes it. An attempt: whatever goes wrong, the
// blob is in the store as well, and is sent from there (upload.ts) like any other.
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { Endpoint } from './endpoints.ts';
import { uploadLocation } from './places.ts';
import type { Answer, Call } from './registry-host.ts';
import { finishPatience } from './upload.ts';

/** A blob on its way. Nothing here throws: an attempt that failed takes the rest and does nothing with it. */
export interface BlobStream {
  /** The next bytes; resolves when more can be taken. */
  write(chunk: Uint8Array): Promise<void>;
  /** All bytes were written and hash to `digest`. @returns whether the registry has the blob now */
  end(digest: Digest): Promise<boolean>;
  /** What was written is worth nothing. */
  abort(): void;
}

/** Bytes that wait for the network. */
const bufferBytes = 4 * 1024 * 1024;
/** Making the blob may take as long as it takes. */
const endlessPatience = 10_000;
/** Longest wait for a registry that takes no bytes. */
const stallMs = 60_000;

/** @param signal ends the attempt too */
export function openBlobStream(place: Endpoint, signal: AbortSignal): BlobStream {
  return new Attempt(place, signal);
}

/**
 *   open --write--> open --end--> done
 *     |--abort, refusal, stall, signal--> over
 */
class Attempt implements BlobStream {
  readonly #place: Endpoint;
  readonly #body = new PassThrough({ highWaterMark: bufferBytes });
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Where the session continues; undefined when the attempt is over. */
  readonly #sent: Promise<URL | undefined>;
  #over = false;

  constructor(place: Endpoint, signal: AbortSignal) {
    this.#place = place;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#body.on('error', () => {});
    this.#sent = this.#send().catch(() => {
      this.#end();
      return undefined;
    });
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#over || this.#body.write(chunk)) return;
    const waited = new AbortController();
    const signal = AbortSignal.any([this.#signal, waited.signal]);
    const drained = once(this.#body, 'drain', { signal }).then(() => true);
    const stalled = sleep(stallMs, false, { signal, ref: false });
    const went = await Promise.race([drained, stalled]).catch(() => false);
    waited.abort();
    await Promise.allSettled([drained, stalled]);
    if (!went) this.#end();
  }

  async end(digest: Digest): Promise<boolean> {
    if (this.#over) return false;
    this.#body.end();
    const location = await this.#sent;
    if (!location) return false;
    location.searchParams.set('digest', digest);
    try {
      const answer = await this.#call({
        method: 'PUT',
        to: location,
        expect: [201, 204],
        headers: { 'content-type': 'application/octet-stream', 'content-length': '0' },
        patience: finishPatience,
      });
      answer.body.destroy();
      return true;
    } catch {
      return false;
    } finally {
      this.#over = true;
    }
  }

  abort(): void {
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#stop.abort();
    this.#body.destroy();
  }

  async #send(): Promise<URL> {
    const begun = await this.#call({
      method: 'POST',
      to: `/v2/${this.#place.path}/blobs/uploads/`,
      expect: [202],
      headers: { 'content-length': '0' },
    });
    begun.body.destroy();
    const session = uploadLocation(begun.url, begun.header('location'));
    const answer = await this.#call({
      method: 'PATCH',
      to: session,
      expect: [201, 202, 204],
      headers: { 'content-type': 'application/octet-stream' },
      body: this.#onlyOnce(),
      patience: endlessPatience,
    });
    answer.body.destroy();
    const location = answer.header('location');
    return location === undefined ? session : uploadLocation(answer.url, location);
  }

  /** Bytes that are gone cannot be sent again, to another place or with other credentials. */
  #onlyOnce(): () => PassThrough {
    let taken = false;
    return () => {
      if (taken) throw new BuildError('network', 'the registry wants the bytes of a stream twice');
      taken = true;
      return this.#body;
    };
  }

  #call(call: Omit<Call, 'need' | 'what' | 'signal'>): Promise<Answer> {
    return this.#place.host.send({
      ...call,
      what: 'upload of a blob',
      need: { repository: this.#place.path, access: 'push' },
      signal: this.#signal,
    });
  }
}
