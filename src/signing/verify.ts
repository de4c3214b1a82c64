// Verifying an image in its registry: there must be a signature by the key, of this very digest. The name that the signer
// gave the image is not compared, so that an image may be copied with its signatures.
import { BuildError, printable } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import type { Registries } from '../registry/registry.ts';
import { listBundles, readBundle } from './bundles.ts';
import { type Annotations, type Claims, missingAnnotation } from './claims.ts';
import { isSignedBy, type VerifyingKey } from './keys.ts';
import { placeOfSignatures, readSignature, readSignatureManifest, type StoredSignature } from './stored.ts';

export interface VerifyRequest {
  /** With tag or digest. */
  readonly reference: Reference;
  readonly key: VerifyingKey;
  /** A signature counts that has all of them. */
  readonly annotations: Annotations;
}

export interface Verified {
  /** Of what the tag stood for. */
  readonly digest: Digest;
  /** Of each signature that counts; at least one. */
  readonly claims: readonly Claims[];
}

/** Reasons that are told. */
const maxReasons = 5;
const atOnce = 4;

/**
 * @throws BuildError `not-found` when there is no image or no signature, `integrity` when none is by this key and of this
 * image, `hostile`, `network`, `auth`
 */
export async function verifyImage(
  request: VerifyRequest,
  registries: Registries,
  signal: AbortSignal,
): Promise<Verified> {
  const { reference } = request;
  const { descriptor } = await registries.fetchManifest(reference, signal);
  const digest = reference.digest ?? descriptor.digest;
  const name = familiarReference({ ...reference, digest });
  const reasons = new Set<string>();
  for (const source of [classic, bundles]) {
    const claims: Claims[] = [];
    for await (const stored of source(reference, digest, registries, signal)) {
      const judged = judge(stored, digest, request);
      if (typeof judged === 'string') reasons.add(judged);
      else claims.push(judged);
    }
    if (claims.length > 0) return { digest, claims };
  }
  if (reasons.size === 0) throw new BuildError('not-found', `${name} is not signed`, { facts: { digest } });
  throw new BuildError('integrity', `${name} has no signature that counts: ${inWords(reasons)}`, {
    facts: { digest },
  });
}

async function* classic(image: Reference, digest: Digest, registries: Registries, signal: AbortSignal) {
  const place = placeOfSignatures(image, digest);
  const layers = (await readSignatureManifest(place, registries, signal))?.manifest.layers ?? [];
  yield* fewAtOnce(layers, layer => readSignature(place, layer, registries, signal));
}

/** What cosign 3 makes unless it is told otherwise. */
async function* bundles(image: Reference, digest: Digest, registries: Registries, signal: AbortSignal) {
  const candidates = await listBundles(image, digest, registries, signal);
  yield* fewAtOnce(candidates, each => readBundle(image, digest, each, registries, signal));
}

/** One after the other, so that not all of them are in memory together. */
async function* fewAtOnce<T>(
  list: readonly Descriptor[],
  read: (item: Descriptor) => Promise<T | undefined>,
): AsyncGenerator<T> {
  for (let i = 0; i < list.length; i += atOnce) {
    for (const item of await Promise.all(list.slice(i, i + atOnce).map(read))) {
      if (item !== undefined) yield item;
    }
  }
}

/** @returns why it does not count, as the end of a sentence */
function judge(stored: StoredSignature, digest: Digest, request: VerifyRequest): Claims | string {
  if ('unusable' in stored) return stored.unusable;
  const { signed: bytes, signatures } = stored;
  if (!signatures.some(each => isSignedBy(bytes, each, request.key))) return 'it was not made with this key';
  const claims = stored.claims();
  if (typeof claims === 'string') return claims;
  const signed = claims.critical.image['docker-manifest-digest'];
  if (signed !== digest) return `it is of another image, ${printable(signed.slice(0, 150))}`;
  const missing = missingAnnotation(claims, request.annotations);
  return missing === undefined
    ? claims
    : `it does not say ${printable(`${missing}=${request.annotations[missing]}`)}`;
}

function inWords(reasons: ReadonlySet<string>): string {
  const told = [...reasons].slice(0, maxReasons).join('; ');
  return reasons.size > maxReasons ? `${told}; and others` : told;
}
