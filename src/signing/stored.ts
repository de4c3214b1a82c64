// Where signatures of an image lie, in the layout that cosign made: beside the image, an image manifest under a tag made
// of the image's digest, with a layer for each signature. The layer is what was signed, its annotation the signature.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, digestOf } from '../image/digest.ts';
import type { Manifest } from '../image/manifest.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import { MemorySink } from '../registry/download.ts';
import type { Registries } from '../registry/registry.ts';
import { type Claims, parseClaims } from './claims.ts';

export const signatureType = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const signatureKey = 'dev.cosignproject.cosign/signature';

/** More of them are not looked at: whoever may write to the repository could keep everybody busy. */
export const maxSignatures = 1000;
const maxPayloadBytes = 64 * 1024;
const maxSignatureChars = 4096;

/** A signature, or several of which one is enough, and what it is of; or why it cannot be one. Nothing is verified yet. */
export type StoredSignature =
  | {
      readonly signed: Uint8Array;
      readonly signatures: readonly Buffer[];
      /** What is said by it, or why it says nothing of an image. */
      claims(): Claims | string;
    }
  | { readonly unusable: string };

/** The place of an image's signatures. */
export function placeOfSignatures({ domain, path }: Reference, digest: Digest): Reference {
  return { domain, path, tag: `${digest.replace(':', '-')}.sig` };
}

/** Whether a tag stands for what is said of an image (signatures and the like, lists of referrers), and so for no image. */
export function isTagAboutImage(tag: string): boolean {
  return /^sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?$/.test(tag);
}

/**
 * The manifest of signatures, and its digest.
 * @param fresh the registry itself is asked, not its mirrors
 * @returns undefined when there is none
 * @throws BuildError `integrity`, `hostile`, `unsupported` for a document that cannot be one; `network`, `auth`
 */
export async function readSignatureManifest(
  place: Reference,
  registries: Registries,
  signal: AbortSignal,
  fresh = false,
): Promise<{ readonly descriptor: Descriptor; readonly manifest: Manifest } | undefined> {
  const found = await registries.fetchManifest(place, signal, fresh).catch(error => {
    if (error instanceof BuildError && error.code === 'not-found') return undefined;
    throw error;
  });
  if (!found) return undefined;
  const { document, descriptor } = found;
  const name = familiarReference(place);
  if (document.kind !== 'manifest') {
    throw new BuildError('unsupported', `${name} is an image for several platforms, not signatures`);
  }
  refuseTooMany(document.layers.length, place);
  return { descriptor, manifest: document };
}

/** @throws BuildError `network`, `auth` */
export async function readSignature(
  place: Reference,
  layer: Descriptor,
  registries: Registries,
  signal: AbortSignal,
): Promise<StoredSignature> {
  if (layer.mediaType !== signatureType) return { unusable: 'it is of another form' };
  const signature = signatureOf(layer);
  if (!signature) return { unusable: 'it has no signature in base64' };
  const payload = await downloadSmall(place, layer, maxPayloadBytes, registries, signal);
  if (typeof payload === 'string') return { unusable: payload };
  return { signed: payload, signatures: [signature], claims: () => parseClaims(payload) };
}

/** @returns why it was not read @throws BuildError `network`, `auth` */
export async function downloadSmall(
  place: Reference,
  blob: Descriptor,
  maxBytes: number,
  registries: Registries,
  signal: AbortSignal,
): Promise<Buffer | string> {
  if (blob.size > maxBytes) {
    return `what it signs has ${blob.size} bytes; more than ${maxBytes} are not read`;
  }
  const sink = new MemorySink();
  try {
    await registries.download(place, blob, sink, signal);
  } catch (error) {
    if (!(error instanceof BuildError) || !['not-found', 'integrity'].includes(error.code)) throw error;
    return 'what it signs is not there, or damaged';
  }
  return sink.bytes;
}

/** @throws BuildError `hostile` */
export function refuseTooMany(count: number, place: Reference): void {
  if (count <= maxSignatures) return;
  throw new BuildError(
    'hostile',
    `${familiarReference(place)} has ${count} signatures; more than ${maxSignatures} are not looked at`,
  );
}

/** The signature in a layer's annotation. */
export function signatureOf({ annotations = {} }: Descriptor): Buffer | undefined {
  return Object.hasOwn(annotations, signatureKey) ? decodeBase64(annotations[signatureKey]) : undefined;
}

/** @returns undefined for anything else, nothing included */
export function decodeBase64(text: unknown, maxChars = maxSignatureChars): Buffer | undefined {
  if (typeof text !== 'string' || text === '' || text.length > maxChars || text.length % 4 !== 0)
    return undefined;
  return /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined;
}

export function signatureLayer(payload: Uint8Array, signature: Buffer): Descriptor {
  return {
    mediaType: signatureType,
    digest: digestOf(payload),
    size: payload.length,
    annotations: { [signatureKey]: signature.toString('base64') },
  };
}

/** What cosign writes as config of the manifest: an image of nothing, from no time. */
export function configOf(layers: readonly Descriptor[]): string {
  const created = '0001-01-01T00:00:00Z';
  return JSON.stringify({
    architecture: '',
    created,
    history: layers.map(() => ({ created })),
    os: '',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    config: {},
  });
}
