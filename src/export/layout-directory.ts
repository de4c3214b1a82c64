// An image layout as a directory that other tools may be using: blobs first, index.json last, under a lock.
import { rmSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { waitForLock } from '../host/lock.ts';
import { fsyncDir, writeFileAtomically } from '../host/temp.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { addFile, blobName, existingEntries, isThere } from '../store/layout-files.ts';
import { annotationKeys, indexText, layoutText } from '../store/layout-index.ts';
import type { Store } from '../store/store.ts';
import { BlobCheck, readBlob } from './archive.ts';
import { outputFailure, removeEmpty } from './destination.ts';
import { type Document, documentsOf, indexEntries, layersOf, type Packed } from './pack.ts';

/** A blob for a layout, and its bytes, which are checked on their way. */
interface LayoutBlob {
  readonly descriptor: Descriptor;
  open(): AsyncIterable<Uint8Array>;
}

/** What a layout is to get, and all that its index.json is to list. */
interface LayoutChange {
  readonly blobs: readonly LayoutBlob[];
  readonly documents: readonly Document[];
  readonly entries: readonly unknown[];
}

/** An image for a layout. */
interface Addition {
  readonly packed: Packed;
  /** In full form. */
  readonly names: readonly string[];
  /** What `oci:DIR:TAG` names: whoever looks for it there must find this image alone. */
  readonly place?: string;
}

/**
 * Adds the image to the layout at `dir`, which is made when it is not there. Entries of index.json with the same name
 * (or none, when the image has none) are replaced, others stay. On failure the blobs that were added are removed.
 * @throws BuildError `output`, `usage` when the directory holds something else, `interrupted`
 */
export function writeLayoutDirectory(
  dir: string,
  { packed, names, place }: Addition,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const blobs = layersOf(packed).map(descriptor => ({ descriptor, open: () => readBlob(descriptor, store) }));
  return updateLayout(dir, signal, async entries => {
    const kept = entries.filter(entry => !isReplaced(entry, names, place));
    return { blobs, documents: documentsOf(packed), entries: [...kept, ...indexEntries(packed, names)] };
  });
}

/**
 * Changes the layout at `dir`, which is made when it is not there, alone. On failure what was added is removed.
 * @param change is given what index.json lists; undefined: it stays as it is
 * @throws BuildError `output`, `usage` when the directory holds something else, `interrupted`
 */
async function updateLayout(
  dir: string,
  signal: AbortSignal,
  change: (entries: readonly unknown[]) => Promise<LayoutChange | undefined>,
): Promise<void> {
  const made: string[] = [];
  let firstMade: string | undefined;
  try {
    firstMade = await mkdir(dir, { recursive: true });
    using _lock = await waitForLock(dir, 'exclusive', signal);
    const wanted = await change(existingEntries(dir));
    if (wanted === undefined) return;
    for (const blob of wanted.blobs) await addBlob(dir, blob, made, signal);
    for (const { descriptor, bytes } of wanted.documents) await addText(dir, descriptor, bytes, made);
    await syncBlobs(dir, wanted);
    writeFileAtomically(join(dir, 'oci-layout'), layoutText, 0o644);
    writeFileAtomically(join(dir, 'index.json'), indexText(wanted.entries), 0o644);
  } catch (error) {
    await undo(dir, made, firstMade);
    if (signal.aborted) throw error;
    throw outputFailure(error, dir);
  }
}

async function undo(dir: string, made: readonly string[], firstMade: string | undefined): Promise<void> {
  for (const path of made) await rm(path, { force: true });
  if (firstMade === undefined) return;
  rmSync(join(dir, 'oci-layout'), { force: true });
  for (const path of new Set(made.map(dirname))) await removeEmpty(path, firstMade);
  await removeEmpty(dir, firstMade);
}

function isReplaced(entry: unknown, names: readonly string[], place: string | undefined): boolean {
  const annotations = (entry as { annotations?: Record<string, unknown> } | null)?.annotations ?? {};
  const name = annotations[annotationKeys.name];
  const tag = annotations[annotationKeys.tag];
  if (place !== undefined && tag === place) return true;
  if (names.length === 0) return name === undefined && tag === undefined;
  // A reader that looks for the tag alone must not find two.
  const tags = names.map(full => full.slice(full.lastIndexOf(':') + 1));
  return typeof name === 'string' ? names.includes(name) : typeof tag === 'string' && tags.includes(tag);
}

async function addBlob(
  dir: string,
  { descriptor, open }: LayoutBlob,
  made: string[],
  signal: AbortSignal,
): Promise<void> {
  if (isThere(dir, descriptor)) return;
  await addFile(dir, descriptor.digest, made, async write => {
    const check = new BlobCheck(descriptor);
    for await (const chunk of open()) {
      if (signal.aborted) throw signal.reason;
      check.update(chunk);
      await write(chunk);
    }
    check.end();
  });
}

async function addText(dir: string, descriptor: Descriptor, text: string, made: string[]): Promise<void> {
  if (isThere(dir, descriptor)) return;
  await addFile(dir, descriptor.digest, made, write => write(Buffer.from(text)));
}

async function syncBlobs(dir: string, { blobs, documents }: LayoutChange): Promise<void> {
  const all = [...blobs, ...documents].map(({ descriptor }) =>
    dirname(join(dir, blobName(descriptor.digest))),
  );
  for (const place of new Set(all)) await fsyncDir(place);
}
