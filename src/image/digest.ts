// Digests (OCI image-spec, descriptor.md#digests). Parsed once, trusted after: a Digest is safe in a path.
import { createHash } from 'node:crypto';
import { BuildError, printable } from '../errors.ts';

declare const digestBrand: unique symbol;
/** `sha256:` and 64 lower-case hex digits, or `sha512:` and 128. Of a blob as it is stored or sent. */
export type Digest = string & { readonly [digestBrand]: true };
/** The digest of a layer's uncompressed tar (config.rootfs.diff_ids). */
export type DiffId = Digest;

const grammar = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && grammar.test(text);
}

/** @throws BuildError `integrity` when `text` is no digest; `what` says where it stood. */
export function parseDigest(text: unknown, what = 'digest'): Digest {
  if (isDigest(text)) return text;
  throw new BuildError(
    'integrity',
    `${what} is not a valid digest: ${printable(JSON.stringify(text) ?? 'nothing')}`,
    {
      hint: 'a digest is sha256: and 64 lower-case hexadecimal digits',
    },
  );
}

/** The sha256 digest of `bytes`; text counts as UTF-8. */
export function digestOf(bytes: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** The digest that a finished hash of `algorithm` stands for. */
export function digestFromHash(hex: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Digest {
  return parseDigest(`${algorithm}:${hex}`);
}

export function algorithmOf(digest: Digest): 'sha256' | 'sha512' {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** The first 12 hex digits, as docker prints ids. */
export function shortId(digest: Digest): string {
  return hexOf(digest).slice(0, 12);
}
