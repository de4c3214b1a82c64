// The digest of a selection of files: what COPY and ADD put into a layer, what a bind mount shows. Times are left out,
// as Docker does: a fresh checkout of the same files is the same content. Pure.
import { createHash } from 'node:crypto';
import { BuildError } from '../errors.ts';
import { type Digest, digestFromHash } from '../image/digest.ts';
import { type BytePath, type Entry, showPath } from '../tree/entry.ts';

/** One file of a selection. */
export interface SelectedFile {
  /** Where it goes, relative to the root of the image or mount. */
  readonly path: BytePath;
  /** Its own `path` is not looked at: where it came from does not matter. */
  readonly entry: Entry;
  /** sha256 of the content; regular files have one. */
  readonly content?: Digest;
}

export interface SelectionOptions {
  /** Owners count. False when all of them are replaced anyway (a context, --chown). */
  readonly owners: boolean;
}

/**
 * @param files in any order; of two with one path the later counts, as when they are written one after the other
 * @throws BuildError `internal` when a regular file has no content digest
 */
export function selectionDigest(files: readonly SelectedFile[], options: SelectionOptions): Digest {
  const byPath = new Map<string, SelectedFile>();
  for (const file of files) byPath.set(file.path, file);
  const paths = [...byPath.keys()].sort();
  const hash = createHash('sha256').update(`slipway files v1 ${options.owners ? 'owners' : 'no owners'}\n`);
  let batch = '';
  for (const path of paths) {
    const file = byPath.get(path);
    if (file) batch += encodeFile(file, options);
    if (batch.length > 64 * 1024) {
      hash.update(batch, 'latin1');
      batch = '';
    }
  }
  return digestFromHash(hash.update(batch, 'latin1').digest('hex'));
}

/** Fields in a fixed order, each with its length in bytes: nothing that a name holds can look like another field. */
function encodeFile(file: SelectedFile, options: SelectionOptions): string {
  const { entry } = file;
  const content = entry.type === 'file' ? requireContent(file) : '';
  const owner = options.owners ? `${entry.uid}:${entry.gid}` : '';
  const device =
    entry.type === 'char' || entry.type === 'block' ? `${entry.devMajor ?? 0}:${entry.devMinor ?? 0}` : '';
  const head = [
    file.path,
    entry.type,
    entry.type === 'symlink' ? '' : entry.mode.toString(8),
    owner,
    content,
    entry.linkTarget ?? '',
    device,
  ];
  const xattrs = Object.entries(entry.xattrs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const fields = [...head, String(xattrs.length), ...xattrs.flat()];
  return fields.map(field => `${field.length}:${field}`).join('');
}

function requireContent(file: SelectedFile): Digest {
  if (file.content !== undefined) return file.content;
  throw new BuildError('internal', `the content of ${showPath(file.path)} was not hashed`);
}
