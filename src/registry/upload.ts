// Sending a blob (OCI distribution-spec, pushing blobs). What the registry has is not sent, what it has in another
// repository is mounted, small blobs go in one piece, larger ones as a stream that continues where it broke off.
import { Readable } from 'node:stream';
import { BuildError } from '../errors.ts';
import { Attempts, retrying } from '../host/retry.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Need } from './auth.ts';
import type { OnProgress } from './download.ts';
import type { Endpoint, Endpoints } from './endpoints.ts';
import { uploadLocation } from './places.ts';
import type { Answer, Call } from './registry-host.ts';

/** A blob to be sent. */
export interface PushBlob {
  readonly descriptor: Descriptor;
  /** The blob's bytes from `offset` on; called again for each attempt. */
  open(offset: number): AsyncIterable<Uint8Array>;
  /** Paths of repositories on the same host that may hold it, the likeliest first. */
  readonly mountFrom?: readonly string[];
}

/** How a blob came into the repository. */
export type Delivery = 'present' | 'mounted' | 'sent';

/** Blobs up to this size are sent in one request; larger ones in a session that can be continued. */
const monolithicBytes = 1024 * 1024;
/** Pieces for registries that refuse the whole (413). */
const pieceBytes = 4 * 1024 * 1024;
/** Registries hash and move a blob before they answer. */
export const finishPatience = 5;
const progressBytes = 1024 * 1024;

/** @throws BuildError `auth`, `network`, ... */
export async function uploadBlob(
  endpoints: Endpoints,
  place: Endpoint,
  blob: PushBlob,
  signal: AbortSignal,
  onProgress: OnProgress = () => {},
): Promise<Delivery> {
  return place.host.slots.run(signal, () => new Upload(endpoints, place, blob, signal, onProgress).run());
}

class Upload {
  readonly #endpoints: Endpoints;
  readonly #place: Endpoint;
  readonly #blob: PushBlob;
  readonly #signal: AbortSignal;
  readonly #onProgress: OnProgress;
  readonly #what: string;
  /** Largest piece; undefined sends everything in one request. */
  #piece: number | undefined;

  constructor(
    endpoints: Endpoints,
    place: Endpoint,
    blob: PushBlob,
    signal: AbortSignal,
    onProgress: OnProgress,
  ) {
    this.#endpoints = endpoints;
    this.#place = place;
    this.#blob = blob;
    this.#signal = signal;
    this.#onProgress = onProgress;
    this.#what = `upload of blob ${blob.descriptor.digest}`;
  }

  async run(): Promise<Delivery> {
    const { size } = this.#blob.descriptor;
    const { retry } = this.#endpoints;
    const present = await retrying(retry, this.#signal, () => this.#isPresent());
    const delivery = present ? 'present' : await this.#deliver();
    this.#onProgress(size, size);
    return delivery;
  }

  /** A session that broke is looked at before another is begun: it may have ended well, or can go on. */
  async #deliver(): Promise<Delivery> {
    const attempts = new Attempts(this.#endpoints.retry);
    let session: Session | undefined;
    let reached = 0;
    for (;;) {
      try {
        if (session) session = await this.#look(session);
        if (session === undefined) {
          const begun = await this.#begin();
          if (begun === 'mounted') return 'mounted';
          session = { location: begun, offset: 0 };
        }
        await this.#send(session);
        return 'sent';
      } catch (error) {
        if (this.#canUsePieces(error)) continue;
        if ((session?.offset ?? 0) - reached >= progressBytes) {
          attempts.progressed();
          reached = session?.offset ?? 0;
        }
        const lost = session && isLostSession(error) ? asRetryable(error) : undefined;
        await attempts.afterFailure(lost ?? error, this.#signal);
        if (session && (await this.#isPresent().catch(() => false))) return 'sent';
        if (lost) session = undefined;
      }
    }
  }

  async #isPresent(): Promise<boolean> {
    const { digest, size } = this.#blob.descriptor;
    const answer = await this.#call({
      method: 'HEAD',
      to: `/v2/${this.#place.path}/blobs/${digest}`,
      expect: [200, 404, 405],
      what: `blob ${digest}`,
    });
    answer.body.destroy();
    const length = answer.header('content-length');
    return answer.status === 200 && (length === undefined || Number(length) === size);
  }

  /** @returns where to send the bytes, or that they need not be sent */
  async #begin(): Promise<URL | 'mounted'> {
    const from = this.#blob.mountFrom?.find(path => path !== this.#place.path);
    if (from !== undefined) {
      const answer = await this.#mount(from);
      if (answer?.status === 201) return 'mounted';
      if (answer) return uploadLocation(answer.url, answer.header('location'));
    }
    const answer = await this.#call({
      method: 'POST',
      to: this.#uploads(),
      expect: [202],
      headers: { 'content-length': '0' },
    });
    answer.body.destroy();
    return uploadLocation(answer.url, answer.header('location'));
  }

  /** The registry or its token server may not allow to read the other repository: then there is no mount. */
  async #mount(from: string): Promise<Answer | undefined> {
    const query = new URLSearchParams({ mount: this.#blob.descriptor.digest, from });
    try {
      const answer = await this.#call({
        method: 'POST',
        to: `${this.#uploads()}?${query}`,
        expect: [201, 202],
        extraScopes: [`repository:${from}:pull`],
        headers: { 'content-length': '0' },
      });
      answer.body.destroy();
      return answer;
    } catch (error) {
      if (error instanceof BuildError && ['auth', 'not-found'].includes(error.code)) return undefined;
      throw error;
    }
  }

  #uploads(): string {
    return `/v2/${this.#place.path}/blobs/uploads/`;
  }

  async #send(session: Session): Promise<void> {
    const { size } = this.#blob.descriptor;
    if (session.offset === 0 && size <= monolithicBytes && this.#piece === undefined) {
      await this.#complete(session, this.#body(0, size));
      return;
    }
    while (session.offset < size) await this.#sendPiece(session);
    await this.#complete(session, undefined);
  }

  async #sendPiece(session: Session): Promise<void> {
    const { size } = this.#blob.descriptor;
    const start = session.offset;
    const end = this.#piece === undefined ? size : Math.min(size, start + this.#piece);
    const whole = start === 0 && end === size;
    const answer = await this.#call({
      method: 'PATCH',
      to: session.location,
      expect: [201, 202, 204],
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(end - start),
        ...(whole ? {} : { 'content-range': `${start}-${end - 1}` }),
      },
      body: this.#body(start, end),
    });
    answer.body.destroy();
    const location = answer.header('location');
    if (location !== undefined) session.location = uploadLocation(answer.url, location);
    session.offset = end;
  }

  async #complete(session: Session, body: (() => Readable) | undefined): Promise<void> {
    const { digest, size } = this.#blob.descriptor;
    const to = new URL(session.location);
    to.searchParams.set('digest', digest);
    const answer = await this.#call({
      method: 'PUT',
      to,
      expect: [201, 202, 204],
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(body ? size : 0) },
      patience: finishPatience,
      ...(body ? { body } : {}),
    });
    answer.body.destroy();
    if (answer.status === 202 && !(await this.#isPresent())) {
      throw new BuildError('network', `${this.#place.host.name} took blob ${digest} and does not have it`, {
        facts: { retryable: true },
      });
    }
  }

  #body(start: number, end: number): () => Readable {
    return () => Readable.from(this.#bytes(start, end), { objectMode: false, highWaterMark: 256 * 1024 });
  }

  async *#bytes(start: number, end: number): AsyncGenerator<Uint8Array> {
    const { digest, size } = this.#blob.descriptor;
    let at = start;
    for await (const chunk of this.#blob.open(start)) {
      const part = chunk.subarray(0, end - at);
      at += part.length;
      yield part;
      this.#onProgress(at, size);
      if (at === end) return;
    }
    throw new BuildError(
      'store',
      `blob ${digest} ended after ${at} of ${size} bytes while it was read for sending`,
    );
  }

  /** @returns the session with what the registry has of it; undefined when it is gone */
  async #look(session: Session): Promise<Session | undefined> {
    const answer = await this.#call({
      method: 'GET',
      to: session.location,
      expect: [204, 202, 200, 404, 400, 405, 416],
    });
    answer.body.destroy();
    if (answer.status >= 300) return undefined;
    const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.header('range') ?? '0-0');
    const last = Number(range?.[1] ?? Number.NaN);
    const offset = last === 0 ? 0 : last + 1;
    if (Number.isNaN(offset) || offset > this.#blob.descriptor.size) return undefined;
    const location = answer.header('location');
    return {
      location: location === undefined ? session.location : uploadLocation(answer.url, location),
      offset,
    };
  }

  /** Whether a refusal of the whole is worth a try in pieces. */
  #canUsePieces(error: unknown): boolean {
    const tooLarge = error instanceof BuildError && error.facts.status === 413;
    if (!tooLarge || this.#piece !== undefined || this.#blob.descriptor.size <= pieceBytes) return false;
    this.#piece = pieceBytes;
    return true;
  }

  #call(
    call: Partial<Call> & Pick<Call, 'method' | 'to' | 'expect'> & Pick<Need, 'extraScopes'>,
  ): Promise<Answer> {
    const { extraScopes, ...rest } = call;
    return this.#place.host.send({
      what: this.#what,
      ...rest,
      need: { repository: this.#place.path, access: 'push', ...(extraScopes ? { extraScopes } : {}) },
      signal: this.#signal,
    });
  }
}

interface Session {
  location: URL;
  /** Bytes that the registry has. */
  offset: number;
}

/** The registry forgot the upload, or disagrees about how far it is. */
function isLostSession(error: unknown): error is BuildError {
  return error instanceof BuildError && (error.facts.status === 404 || error.facts.status === 416);
}

function asRetryable(error: BuildError): BuildError {
  return new BuildError('network', error.message, {
    cause: error,
    facts: { ...error.facts, retryable: true },
  });
}
