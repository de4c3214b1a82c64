// Fetching a blob (OCI distribution-spec, pulling blobs): verified while it streams, resumed where the registry can
// prove that it is still the same blob, stopped as soon as it is longer than it should be.
import { createHash, type Hash } from 'node:crypto';
import { BuildError } from '../errors.ts';
import { Attempts } from '../host/retry.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, digestFromHash } from '../image/digest.ts';
import { type Endpoint, type Endpoints, firstThatWorks, type Repository } from './endpoints.ts';
import { refuseEncoding } from './manifests.ts';
import type { Answer } from './registry-host.ts';

/** Takes a blob's bytes in order. */
export interface BlobSink {
  write(chunk: Uint8Array): Promise<void>;
  /** Everything written so far is void: it begins again. */
  restart(): Promise<void>;
}

/** Keeps a blob in memory; whoever uses it looks at the size first. */
export class MemorySink implements BlobSink {
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

/** Bytes that are there, and bytes there will be. */
export type OnProgress = (current: number, total: number) => void;

/** Bytes that an attempt must add to count as progress, so that a flaky line may break often. */
const progressBytes = 1024 * 1024;

/**
 * Resolves when the whole blob is written and verified.
 * @throws BuildError `integrity` when no place has the right bytes, `network`, `auth`, `not-found`
 */
export async function downloadBlob(
  endpoints: Endpoints,
  repository: Repository,
  descriptor: Descriptor,
  sink: BlobSink,
  signal: AbortSignal,
  onProgress: OnProgress = () => {},
): Promise<void> {
  const places = endpoints.readable(repository, 'digest');
  const download = new Download(descriptor, sink, onProgress);
  await firstThatWorks(places, signal, place =>
    place.host.slots.run(signal, () => fromPlace(place, download, endpoints, signal)),
  );
}

async function fromPlace(
  place: Endpoint,
  download: Download,
  endpoints: Endpoints,
  signal: AbortSignal,
): Promise<void> {
  const attempts = new Attempts(endpoints.retry);
  let mark = download.received;
  for (;;) {
    try {
      await download.attempt(place, signal);
      return;
    } catch (error) {
      mark = Math.min(mark, download.received);
      if (download.received - mark >= progressBytes) {
        attempts.progressed();
        mark = download.received;
      }
      await attempts.afterFailure(error, signal);
    }
  }
}

class Download {
  readonly #descriptor: Descriptor;
  readonly #sink: BlobSink;
  readonly #onProgress: OnProgress;
  #hash: Hash;
  #received = 0;
  /** What came before may be of another version of the file: a wrong digest is worth a second, whole download. */
  #resumed = false;
  /** ETag of what was received so far, and of which host. */
  #validator: { readonly host: string; readonly etag: string } | undefined;

  constructor(descriptor: Descriptor, sink: BlobSink, onProgress: OnProgress) {
    this.#descriptor = descriptor;
    this.#sink = sink;
    this.#onProgress = onProgress;
    this.#hash = createHash(algorithmOf(descriptor.digest));
  }

  get received(): number {
    return this.#received;
  }

  async attempt(place: Endpoint, signal: AbortSignal): Promise<void> {
    const { digest, size } = this.#descriptor;
    const resume = this.#received > 0 && this.#received < size ? this.#validator : undefined;
    if (this.#received > 0 && resume?.host !== place.shown) await this.#restart();
    const from = this.#received;
    const answer = await place.host.send({
      method: 'GET',
      to: `/v2/${place.path}/blobs/${digest}`,
      need: { repository: place.path, access: 'pull' },
      headers: from > 0 && resume ? { range: `bytes=${from}-`, 'if-range': resume.etag } : {},
      expect: from > 0 ? [200, 206, 416] : [200],
      what: `blob ${digest}`,
      signal,
    });
    try {
      await this.#accept(answer, place, from, resume?.etag);
      await this.#read(answer);
    } finally {
      answer.body.destroy();
    }
    await this.#finish();
  }

  /** Decides whether the answer continues what is here. */
  async #accept(answer: Answer, place: Endpoint, from: number, sent: string | undefined): Promise<void> {
    const { size, digest } = this.#descriptor;
    refuseEncoding(answer.header('content-encoding'), place.host.name);
    const etag = answer.header('etag');
    if (answer.status !== 200) {
      const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(answer.header('content-range') ?? '');
      const fits =
        answer.status === 206 &&
        Number(range?.[1]) === from &&
        (range?.[3] === '*' || Number(range?.[3]) === size);
      if (fits && (etag === undefined || etag === sent)) {
        this.#resumed = true;
        return;
      }
      await this.#restart();
      throw new BuildError(
        'network',
        `${place.host.name} does not continue blob ${digest} where it broke off`,
        {
          facts: { retryable: true, status: answer.status },
        },
      );
    }
    if (from > 0) await this.#restart();
    this.#validator = etag && !etag.startsWith('W/') ? { host: place.shown, etag } : undefined;
    const length = answer.header('content-length');
    if (length !== undefined && Number(length) !== size) {
      throw new BuildError(
        'integrity',
        `blob ${digest} should have ${size} bytes, ${place.host.name} has ${length}`,
        {
          facts: { expected: size, found: Number(length) },
        },
      );
    }
  }

  async #read(answer: Answer): Promise<void> {
    const { digest, size } = this.#descriptor;
    for await (const chunk of answer.body) {
      if (this.#received + chunk.length > size) {
        throw new BuildError('integrity', `blob ${digest} goes on after its ${size} bytes`, {
          facts: { expected: size },
        });
      }
      this.#hash.update(chunk);
      await this.#sink.write(chunk);
      this.#received += chunk.length;
      this.#onProgress(this.#received, size);
    }
    if (this.#received < size) {
      throw new BuildError('network', `blob ${digest} broke off after ${this.#received} of ${size} bytes`, {
        facts: { retryable: true },
      });
    }
  }

  async #finish(): Promise<void> {
    const { digest } = this.#descriptor;
    const algorithm = algorithmOf(digest);
    const found = digestFromHash(this.#hash.digest('hex'), algorithm);
    const wasResumed = this.#resumed;
    if (found === digest) return;
    await this.#restart();
    throw new BuildError('integrity', `blob ${digest} has other bytes than its digest says`, {
      facts: { expected: digest, found, retryable: wasResumed },
      hint: 'the registry or something in front of it delivers damaged data',
    });
  }

  async #restart(): Promise<void> {
    await this.#sink.restart();
    this.#hash = createHash(algorithmOf(this.#descriptor.digest));
    this.#received = 0;
    this.#resumed = false;
    this.#validator = undefined;
  }
}
