// Verifying an image in its registry: there must be a signature by the key, of this very digest. The name that the signer
// gave the image is not compared, so that an image may be copied with its signatures.
import { BuildError, printable } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import type { Registries } from '../registry/registry.ts';
import { type Annotations, type Claims, missingAnnotation, parseClaims } from './claims.ts';
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
  const place = placeOfSignatures(reference, digest);
  const found = await readSignatureManifest(place, registries, signal);
  const layers = found?.manifest.layers ?? [];
  if (layers.length === 0) {
    throw new BuildError('not-found', `${name} is not signed`, { facts: { digest } });
  }
  const read = (layer: Descriptor) => readSignature(place, layer, registries, signal);
  const claims: Claims[] = [];
  const reasons = new Set<string>();
  for (let i = 0; i < layers.length; i += atOnce) {
    for (const stored of await Promise.all(layers.slice(i, i + atOnce).map(read))) {
      const judged = judge(stored, digest, request);
      if (typeof judged === 'string') reasons.add(judged);
      else claims.push(judged);
    }
  }
  if (claims.length > 0) return { digest, claims };
  throw new BuildError('integrity', `${name} has no signature that counts: ${inWords(reasons)}`, {
    facts: { digest },
  });
}

/** @returns why it does not count, as the end of a sentence */
function judge(stored: StoredSignature, digest: Digest, request: VerifyRequest): Claims | string {
  if ('unusable' in stored) return stored.unusable;
  if (!isSignedBy(stored.payload, stored.signature, request.key)) return 'it was not made with this key';
  const claims = parseClaims(stored.payload);
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
