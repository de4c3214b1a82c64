// A directory as it is, packed and unpacked: nothing in it means a whiteout, and its root belongs to it. For what is no
// layer of an image, such as a cache mount.
import { createHash } from 'node:crypto';
import { Extractor } from '../archive/extract.ts';
import type { TarEntry, TarHandler } from '../archive/tar-reader.ts';
import { TarWriter } from '../archive/tar-writer.ts';
import { BuildError, printable } from '../errors.ts';
import { canGiveOwners } from '../host/ids.ts';
import { digestFromHash } from '../image/digest.ts';
import { type BytePath, type Entry, type LayerInput, showPath } from '../tree/entry.ts';
import { ownerRecord, withRecordedOwner } from '../tree/owner-record.ts';
import { walkTree } from '../tree/walk.ts';
import { isKeptXattr } from '../tree/xattr-policy.ts';
import type { JobOf, TarFacts } from './jobs.ts';
import { OutputFile, writeInputs } from './tar-file.ts';

/**
 * Equal directories give equal bytes. Devices are left out, and so are the times of directories: every temporary file
 * that came and went changes them, and no tool goes by them.
 */
export function packFiles({ root, tar }: JobOf<'pack-files'>): TarFacts {
  const file = new OutputFile(tar);
  const hash = createHash('sha256');
  try {
    const writer = new TarWriter(chunk => {
      file.write(chunk);
      hash.update(chunk);
    });
    writeInputs(inputsOf(root), writer);
    writer.finish();
  } finally {
    file.close();
  }
  return { diffId: digestFromHash(hash.digest('hex')), size: file.position };
}

function* inputsOf(root: string): Generator<LayerInput> {
  const leftOut = new Set<string>();
  for (const entry of entriesOf(root)) {
    if (isDevice(entry) || (entry.type === 'hardlink' && leftOut.has(entry.linkTarget ?? ''))) {
      leftOut.add(entry.path);
      continue;
    }
    if (entry.type === 'directory') yield { entry: { ...entry, mtimeSec: 0, mtimeNsec: 0 } };
    else if (entry.type !== 'file') yield { entry };
    else yield { entry, content: { kind: 'in-tree', root, path: entry.path, size: entry.size } };
  }
}

function entriesOf(root: string): readonly Entry[] {
  if (canGiveOwners()) return walkTree(root, { withRoot: true });
  const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const xattr = (name: string) => isKeptXattr(name) || name === ownerRecord;
  return walkTree(root, { withRoot: true, xattr }).map(entry => withRecordedOwner(entry, own));
}

function isDevice({ type }: Pick<Entry, 'type'>): boolean {
  return type === 'char' || type === 'block';
}

/** Unpacks into a directory of ours what {@link packFiles} made, or what somebody says that it made. */
export class FilesExtractor implements TarHandler {
  readonly #extractor: Extractor;

  /** @param root empty, mode 0700 */
  constructor(root: string) {
    this.#extractor = new Extractor(root, {
      whiteouts: 'literal',
      ownership: canGiveOwners() ? 'keep' : 'record',
    });
  }

  /** @throws BuildError `hostile` for a device, which no cache has a use for */
  entry(entry: TarEntry, dataOffset: number): void {
    if (isDevice(entry)) throw device(entry.path);
    this.#extractor.entry(entry, dataOffset);
  }

  data(chunk: Uint8Array): void {
    this.#extractor.data(chunk);
  }

  zeros(count: number): void {
    this.#extractor.zeros(count);
  }

  end(): void {
    this.#extractor.end();
  }

  close(): void {
    this.#extractor.close();
  }
}

function device(path: BytePath): BuildError {
  return new BuildError(
    'hostile',
    `the archive has a device where none may be: '${printable(showPath(path))}'`,
  );
}
