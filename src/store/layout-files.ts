// The files of an OCI image layout in a directory that other tools may be using (image-layout.md).
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BuildError, messageOf, printable } from '../errors.ts';
import { temporaryName } from '../host/temp.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { algorithmOf, type Digest, hexOf } from '../image/digest.ts';

/** Where a blob stands in an image layout. */
export function blobName(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

/** What index.json lists; nothing when the directory is empty. @throws BuildError `usage` when it holds something else */
export function existingEntries(dir: string): unknown[] {
  const path = join(dir, 'index.json');
  if (!lstatSync(path, { throwIfNoEntry: false })) {
    const foreign = readdirSync(dir).filter(name => name !== 'oci-layout' && name !== 'blobs');
    if (foreign.length === 0) return [];
    throw notLayout(dir, `it holds ${printable(foreign[0] ?? '')}`);
  }
  try {
    const manifests = (JSON.parse(readFileSync(path, 'utf8')) as { manifests?: unknown } | null)?.manifests;
    if (Array.isArray(manifests)) return manifests;
  } catch (error) {
    throw notLayout(dir, `its index.json cannot be read: ${messageOf(error)}`);
  }
  throw notLayout(dir, 'its index.json lists no manifests');
}

function notLayout(dir: string, why: string): BuildError {
  return new BuildError('usage', `the directory ${printable(dir)} is no OCI image layout: ${why}`, {
    hint: 'choose a new or empty directory',
    facts: { path: dir },
  });
}

/** Whether a blob is there, by its name and size. */
export function isThere(dir: string, blob: Descriptor): boolean {
  const stat = statSync(join(dir, blobName(blob.digest)), { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size === blob.size;
}

/** Writes a blob under a temporary name first. @param made is told the paths of the files that were made */
export async function addFile(
  dir: string,
  digest: Digest,
  made: string[],
  fill: (write: (bytes: Uint8Array) => Promise<void>) => Promise<void>,
): Promise<void> {
  const path = join(dir, blobName(digest));
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), temporaryName('.tmp-'));
  made.push(temporary);
  const file = await open(temporary, 'wx', 0o644);
  try {
    await fill(bytes => file.writeFile(bytes));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  made.push(path);
}
