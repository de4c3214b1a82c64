// Writing a name that several may write and nobody can change on condition: neither a tag of a registry (OCI
// distribution-spec has no such thing) nor an object of every S3 server. So whoever writes looks again afterwards, and
// writes once more when somebody else's writing came in between:
//
//   look -> send blobs -> still the same? -> put -> pause -> look: as wanted? -> done
//    ^                         | no                              | no
//    '-------------------------+---------------------------------'
//
// Something is lost only when another writer takes longer than the pause from its last look to the end of its own put.
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { type Artifact, type Documents, type Draft, documentsOf } from './place.ts';

/** What the name stands for. */
export interface Seen {
  /** Of the manifest's bytes; undefined: there is none. */
  readonly digest: Digest | undefined;
  /** With an empty config where that is broken. */
  readonly artifact: Artifact | undefined;
}

/** A name that can be looked at and set. */
export interface Register {
  /** For people. */
  readonly name: string;
  look(signal: AbortSignal): Promise<Seen>;
  /** Digest of the manifest alone. */
  peek(signal: AbortSignal): Promise<Digest | undefined>;
  /** Layers, and whatever else a manifest lists. */
  send(blobs: readonly Descriptor[], signal: AbortSignal): Promise<void>;
  sendConfig(config: Documents['config'], signal: AbortSignal): Promise<void>;
  put(manifest: Documents['manifest'], signal: AbortSignal): Promise<void>;
  /** Whether a put failed because blobs are missing that were there before. */
  lacksBlobs(error: unknown): boolean;
}

const maxAttempts = 40;

/** @param settleMs least pause before the name is looked at again */
export async function rewrite(
  register: Register,
  blobs: readonly Descriptor[],
  draft: (current: Artifact | undefined) => Draft | undefined,
  settleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const sent = new Set<Digest>();
  let isIncomplete = false;
  for (let attempt = 0; ; attempt++) {
    const seen = await register.look(signal);
    const current = isIncomplete ? undefined : seen.artifact;
    const next = draft(current);
    if (!next) return;
    if (attempt === maxAttempts) {
      throw new BuildError('network', `others write ${register.name} all the time`, {
        hint: 'give each builder a name of its own to write, and let all of them read all names',
      });
    }
    const there = new Set(current?.manifest.layers.map(({ digest }) => digest));
    const missing = blobs.filter(({ digest }) => !there.has(digest) && !sent.has(digest));
    if (missing.length > 0) await register.send(missing, signal);
    for (const { digest } of missing) sent.add(digest);
    try {
      const tookMs = await publish(register, next, seen.digest, signal);
      await sleep(pauseMs(tookMs, attempt, settleMs), undefined, { signal });
      isIncomplete = false;
    } catch (error) {
      // Blobs of what is there now were lost: begin anew, without them.
      if (isIncomplete || !current || !register.lacksBlobs(error)) throw error;
      isIncomplete = true;
    }
  }
}

/** Two that are in each other's way come back at different times. */
function pauseMs(tookMs: number | undefined, attempt: number, settleMs: number): number {
  if (tookMs === undefined) return Math.random() * 50 * (attempt + 1);
  return Math.max(settleMs, 5 * tookMs) + Math.random() * 100;
}

/** @returns milliseconds from the last look to the end; undefined when somebody else wrote meanwhile, and nothing was done */
async function publish(
  register: Register,
  draft: Draft,
  expected: Digest | undefined,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { manifest, config } = documentsOf(draft);
  await register.sendConfig(config, signal);
  const started = performance.now();
  if ((await register.peek(signal)) !== expected) return undefined;
  await register.put(manifest, signal);
  return performance.now() - started;
}
