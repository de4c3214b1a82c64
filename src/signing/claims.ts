// What is signed: a "simple signing" document, in the form that cosign gives it.
import type { Digest } from '../image/digest.ts';
import type { Reference } from '../image/reference.ts';

/** Texts by name that a signer adds, for whoever verifies to ask for. */
export type Annotations = Readonly<Record<string, string>>;

/** A document that was read; other fields than these may be there. */
export interface Claims {
  readonly critical: {
    readonly identity: { readonly 'docker-reference': string };
    readonly image: { readonly 'docker-manifest-digest': string };
    readonly type: string;
  };
  readonly optional: Readonly<Record<string, unknown>> | null;
}

const type = 'cosign container image signature';

/** Names sorted: equal claims are equal bytes. */
export function encodeClaims(repository: Reference, digest: Digest, annotations: Annotations): Buffer {
  const names = Object.keys(annotations).sort();
  const claims: Claims = {
    critical: {
      identity: { 'docker-reference': repositoryName(repository) },
      image: { 'docker-manifest-digest': digest },
      type,
    },
    optional: names.length === 0 ? null : Object.fromEntries(names.map(name => [name, annotations[name]])),
  };
  return Buffer.from(JSON.stringify(claims));
}

/** Docker Hub under the name that cosign has for it. */
export function repositoryName({ domain, path }: Reference): string {
  return `${domain === 'docker.io' ? 'index.docker.io' : domain}/${path}`;
}

/** @returns why not, when the document does not say that it is of an image */
export function parseClaims(bytes: Uint8Array): Claims | string {
  const json = parseJson(bytes);
  if (json === undefined) return 'what it signs is not JSON';
  const critical = field(json, 'critical');
  const reference = field(field(critical, 'identity'), 'docker-reference');
  const digest = field(field(critical, 'image'), 'docker-manifest-digest');
  const optional = field(json, 'optional') ?? null;
  if (typeof reference !== 'string' || typeof digest !== 'string' || !isOptional(optional)) {
    return 'what it signs is not a statement about an image';
  }
  if (field(critical, 'type') !== type) return 'what it signs is another kind of statement';
  return json as Claims;
}

/** @returns undefined for what is not JSON in UTF-8 */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

function isOptional(value: unknown): boolean {
  return typeof value === 'object' && !Array.isArray(value);
}

/** Of a JSON object, not what it inherits. */
export function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined;
}

/** @returns the first of `wanted` that the claims do not have */
export function missingAnnotation({ optional }: Claims, wanted: Annotations): string | undefined {
  return Object.keys(wanted).find(name => field(optional, name) !== wanted[name]);
}
