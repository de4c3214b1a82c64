// Signing an image in its registry: by digest, whatever it was named by. Signatures that are there stay, those of others
// who sign at the same time too.
import { type Register, rewrite } from '../artifact/rewrite.ts';
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';
import { mediaTypes } from '../image/media-type.ts';
import { familiarReference, type Reference } from '../image/reference.ts';
import { memoryBlob } from '../registry/push.ts';
import type { FetchedManifest, Registries } from '../registry/registry.ts';
import { type Annotations, encodeClaims } from './claims.ts';
import { isSignedBy, type SigningKey, signBytes } from './keys.ts';
import {
  configOf,
  maxSignatures,
  placeOfSignatures,
  readSignatureManifest,
  signatureLayer,
  signatureOf,
} from './stored.ts';

export interface SignRequest {
  /** With tag or digest. */
  readonly reference: Reference;
  readonly key: SigningKey;
  readonly annotations: Annotations;
  /** Of an image for several platforms, the image of each is signed too. */
  readonly recursive: boolean;
}

export interface Signed {
  /** By digest. */
  readonly reference: Reference;
  /** The same was signed by this key before. */
  readonly wasThere: boolean;
}

/** Least pause before it is looked whether somebody else wrote at the same time, in milliseconds. */
const settleMs = 300;
const maxImages = 1000;
const maxDepth = 4;

/** @throws BuildError `not-found`, `auth`, `network`; what was signed until then stays signed */
export async function signImage(
  request: SignRequest,
  registries: Registries,
  signal: AbortSignal,
): Promise<readonly Signed[]> {
  const { reference } = request;
  const digests = new Set<Digest>();
  const visit = async (which: Reference, depth: number): Promise<void> => {
    const image = await registries.fetchManifest(which, signal, true);
    refuseTooMuch(digests.size, depth, reference);
    digests.add(image.descriptor.digest);
    for (const child of request.recursive ? childrenOf(image) : []) {
      if (!digests.has(child.digest))
        await visit({ ...repositoryOf(reference), digest: child.digest }, depth + 1);
    }
  };
  await visit(reference, 1);
  const signed: Signed[] = [];
  for (const digest of digests) {
    const wasThere = await signDigest(digest, request, registries, signal);
    signed.push({ reference: { ...repositoryOf(reference), digest }, wasThere });
  }
  return signed;
}

function repositoryOf({ domain, path }: Reference): Reference {
  return { domain, path };
}

function childrenOf({ document }: FetchedManifest): readonly Descriptor[] {
  return document.kind === 'index' ? document.manifests : [];
}

function refuseTooMuch(images: number, depth: number, reference: Reference): void {
  if (images < maxImages && depth <= maxDepth) return;
  throw new BuildError(
    'integrity',
    `${familiarReference(reference)} is made of too many images, or nested too deeply`,
  );
}

async function signDigest(
  digest: Digest,
  { reference, key, annotations }: SignRequest,
  registries: Registries,
  signal: AbortSignal,
): Promise<boolean> {
  const payload = encodeClaims(reference, digest, annotations);
  const layer = signatureLayer(payload, signBytes(payload, key));
  const isSame = (other: Descriptor) => {
    const signature = other.digest === layer.digest ? signatureOf(other) : undefined;
    return signature !== undefined && isSignedBy(payload, signature, key.publicKey);
  };
  const register = signatureRegister(placeOfSignatures(reference, digest), payload, registries);
  let isWritten = false;
  await rewrite(
    register,
    [layer],
    current => {
      const there = current?.manifest.layers ?? [];
      if (there.some(isSame)) return undefined;
      if (there.length >= maxSignatures) {
        throw new BuildError('unsupported', `${register.name} has ${there.length} signatures already`);
      }
      isWritten = true;
      const layers = [...there, layer];
      return { configType: mediaTypes.ociConfig, artifactType: false, config: configOf(layers), layers };
    },
    settleMs,
    signal,
  );
  return !isWritten;
}

/** The name that signatures lie under, to be rewritten. */
function signatureRegister(place: Reference, payload: Uint8Array, registries: Registries): Register {
  const push = (
    documents: { mediaType: string; bytes: Uint8Array }[],
    blobs: [Descriptor, Uint8Array][],
    signal: AbortSignal,
  ) =>
    registries.push(
      { references: [place], documents, blobs: blobs.map(([blob, bytes]) => memoryBlob(blob, bytes)) },
      signal,
    );
  const look = (signal: AbortSignal) => readSignatureManifest(place, registries, signal, true);
  return {
    name: familiarReference(place),
    async look(signal) {
      const found = await look(signal);
      // The config says nothing that the layers do not.
      return { digest: found?.descriptor.digest, artifact: found && { ...found, config: Buffer.alloc(0) } };
    },
    peek: async signal => (await look(signal))?.descriptor.digest,
    async send(blobs, signal) {
      await push(
        [],
        blobs.map(blob => [blob, payload]),
        signal,
      );
    },
    async sendConfig({ descriptor, bytes }, signal) {
      await push([], [[descriptor, Buffer.from(bytes)]], signal);
    },
    async put({ descriptor, bytes }, signal) {
      await push([{ mediaType: descriptor.mediaType, bytes: Buffer.from(bytes) }], [], signal);
    },
    // Signatures of others are not given up.
    lacksBlobs: () => false,
  };
}
