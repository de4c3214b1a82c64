// Where signatures of an image lie, in the layout that cosign made: beside the image, an image manifest under a tag made
// of the image's digest, with a layer for each signature. The layer is what was signed, its annotation the signature.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, digestOf } from '../image/digest.ts';
import type { Manifest } from '../image/manifest.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import { MemorySink } from '../registry/download.ts';
import type { Registries } from '../registry/registry.ts';

export const signatureType = 'application/vnd.dev.cosign.simplesigning.v1+json';
export const signatureKey = 'dev.cosignproject.cosign/signature';

/** More of them are not looked at: whoever may write to the repository could keep everybody busy. */
export const maxSignatures = 1000;
const maxPayloadBytes = 64 * 1024;
const maxSignatureChars = 4096;

/** A signature and what it is of; or why it cannot be one. Nothing is verified yet but digest and size. */
export type StoredSignature =
  | { readonly payload: Buffer; readonly signature: Buffer }
  | { readonly unusable: string };

/** The place of an image's signatures. */
export function placeOfSignatures({ domain, path }: Reference, digest: Digest): Reference {
  return { domain, path, tag: `${digest.replace(':', '-')}.sig` };
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
  if (document.layers.length > maxSignatures) {
    throw new BuildError(
      'hostile',
      `${name} has ${document.layers.length} signatures; more than ${maxSignatures} are not looked at`,
    );
  }
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
  if (layer.size > maxPayloadBytes) {
    return { unusable: `what it signs has ${layer.size} bytes; more than ${maxPayloadBytes} are not read` };
  }
  const signature = signatureOf(layer);
  if (!signature) return { unusable: 'it has no signature in base64' };
  const sink = new MemorySink();
  try {
    await registries.download(place, layer, sink, signal);
  } catch (error) {
    if (!(error instanceof BuildError) || !['not-found', 'integrity'].includes(error.code)) throw error;
    return { unusable: 'what it signs is not there, or damaged' };
  }
  return { payload: sink.bytes, signature };
}

/** The signature in a layer's annotation. */
export function signatureOf({ annotations = {} }: Descriptor): Buffer | undefined {
  const text = Object.hasOwn(annotations, signatureKey) ? (annotations[signatureKey] ?? '') : '';
  if (text === '' || text.length > maxSignatureChars || text.length % 4 !== 0) return undefined;
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
