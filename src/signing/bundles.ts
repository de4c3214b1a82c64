// Signatures as cosign 3 keeps them: a "bundle" of its own for each, which refers to the image. Inside is an envelope
// (DSSE) around a statement (in-toto) about the image's digest. Such are read here, not written.
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, hexOf } from '../image/digest.ts';
import type { Reference } from '../image/reference.ts';
import type { Registries } from '../registry/registry.ts';
import { type Claims, field, parseJson, repositoryName } from './claims.ts';
import { decodeBase64, downloadSmall, refuseTooMany, type StoredSignature } from './stored.ts';

const bundleType = /^application\/vnd\.dev\.sigstore\.bundle[.+]/;
const payloadType = 'application/vnd.in-toto+json';
const statementType = 'https://in-toto.io/Statement/v1';
const predicateType = 'https://sigstore.dev/cosign/sign/v1';
/** Lists of registries without the referrers API may call a bundle this. */
const emptyType = 'application/vnd.oci.empty.v1+json';

const maxBundleBytes = 256 * 1024;
const maxSignaturesInBundle = 16;
const maxSubjects = 1000;

/** What refers to the image and may be a bundle. @throws BuildError `hostile`, `network`, `auth` */
export async function listBundles(
  image: Reference,
  digest: Digest,
  registries: Registries,
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  const all = await registries.listReferrers(image, digest, signal);
  const candidates = all.filter(
    ({ artifactType: type = '' }) => ['', emptyType].includes(type) || bundleType.test(type),
  );
  refuseTooMany(candidates.length, image);
  return candidates;
}

/** @returns undefined for what is no bundle after all, or not there any more. @throws BuildError `network`, `auth` */
export async function readBundle(
  image: Reference,
  digest: Digest,
  candidate: Descriptor,
  registries: Registries,
  signal: AbortSignal,
): Promise<StoredSignature | undefined> {
  const place = { domain: image.domain, path: image.path, digest: candidate.digest };
  const found = await registries.fetchManifest(place, signal).catch(error => {
    if (error instanceof BuildError && !['network', 'auth'].includes(error.code)) return undefined;
    throw error;
  });
  const [layer] = found?.document.kind === 'manifest' ? found.document.layers : [];
  if (!layer || !bundleType.test(layer.mediaType)) return undefined;
  const bytes = await downloadSmall(place, layer, maxBundleBytes, registries, signal);
  return typeof bytes === 'string' ? { unusable: bytes } : parseBundle(bytes, image, digest);
}

function parseBundle(bytes: Uint8Array, image: Reference, digest: Digest): StoredSignature {
  const envelope = field(parseJson(bytes), 'dsseEnvelope');
  const payload = decodeBase64(field(envelope, 'payload'), 2 * maxBundleBytes);
  const listed = field(envelope, 'signatures');
  if (field(envelope, 'payloadType') !== payloadType || !payload || !Array.isArray(listed)) {
    return { unusable: 'it is of another form' };
  }
  const signatures = listed
    .slice(0, maxSignaturesInBundle)
    .flatMap(each => decodeBase64(field(each, 'sig')) ?? []);
  if (signatures.length === 0) return { unusable: 'it has no signature in base64' };
  return { signed: encloses(payload), signatures, claims: () => parseStatement(payload, image, digest) };
}

/** The bytes that an envelope's signatures are of (DSSE's pre-authentication encoding). */
function encloses(payload: Buffer): Buffer {
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** As claims, in the words that cosign prints; the name is the one it was looked for by, as the statement has none. */
function parseStatement(payload: Uint8Array, image: Reference, digest: Digest): Claims | string {
  const statement = parseJson(payload);
  if (statement === undefined) return 'what it signs is not JSON';
  if (field(statement, '_type') !== statementType || field(statement, 'predicateType') !== predicateType) {
    return 'what it signs is another kind of statement';
  }
  const listed = field(statement, 'subject');
  const subjects = Array.isArray(listed) ? listed.slice(0, maxSubjects) : [];
  const hex = (subject: unknown) => field(field(subject, 'digest'), 'sha256');
  const subject =
    subjects.find(each => digest.startsWith('sha256:') && hex(each) === hexOf(digest)) ?? subjects[0];
  const said = field(subject, 'annotations') ?? null;
  if (typeof hex(subject) !== 'string' || typeof said !== 'object' || Array.isArray(said)) {
    return 'what it signs is not a statement about an image';
  }
  return {
    critical: {
      identity: { 'docker-reference': repositoryName(image) },
      image: { 'docker-manifest-digest': `sha256:${hex(subject)}` },
      type: predicateType,
    },
    optional: said as Readonly<Record<string, unknown>> | null,
  };
}
