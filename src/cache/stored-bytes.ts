// Bytes that belong to a record: a few of them in the record itself, many as a blob of the store.
import { type Digest, isDigest } from '../image/digest.ts';
import type { Store } from '../store/store.ts';

/** `inline`: one character per byte (latin1). */
export type StoredBytes = { readonly inline: string } | { readonly blob: Digest };

/** Up to so many bytes are kept in the record. */
export const maxInlineBytes = 2048;

export function isStoredBytes(value: unknown): value is StoredBytes {
  const { inline, blob } = (value ?? {}) as { inline?: unknown; blob?: unknown };
  return typeof inline === 'string' || isDigest(blob);
}

/** @throws BuildError `store` */
export async function storeBytes(store: Store, bytes: Buffer): Promise<StoredBytes> {
  if (bytes.length <= maxInlineBytes) return { inline: bytes.toString('latin1') };
  return { blob: await store.blobs.put(bytes) };
}

/** All of it, checked. @throws BuildError `not-found` or `store` when the blob is gone or damaged */
export async function loadBytes(store: Store, stored: StoredBytes): Promise<Buffer> {
  if ('inline' in stored) return Buffer.from(stored.inline, 'latin1');
  return store.blobs.read(stored.blob, 4 * 1024 ** 3);
}
