// Makes the list of entries of a layer out of its tar: markers become whiteouts and opaque flags, and of names that
// occur twice the last counts, as it does when the tar is unpacked.
import { tarMarker } from '../archive/marker.ts';
import type { TarEntry, TarHandler } from '../archive/tar-reader.ts';
import type { Digest } from '../image/digest.ts';
import type { BytePath, LayerEntry } from '../tree/entry.ts';
import { impliedDirectory } from './view.ts';
import { joinPath } from './whiteout.ts';

/** An entry and where its bytes are. */
export interface IndexedEntry {
  readonly entry: LayerEntry;
  /** Where its content begins in the uncompressed tar; -1 when it has none there. */
  readonly offset: number;
  /** Where the expanded content of a sparse file begins in the layer's file of such contents; -1 for other files. */
  readonly sparseOffset: number;
  /** Content that everyone wants to look into (the user database); always readable. */
  readonly inline?: Uint8Array;
  /** sha256 of its content, once somebody asked. */
  readonly digest?: Digest;
}

/** Receives the contents of sparse files, which are not stored in one piece in the tar. */
export interface SparseSink {
  /** Bytes written so far, holes included. */
  readonly position: number;
  write(chunk: Uint8Array): void;
  skip(count: number): void;
}

const inlined: ReadonlySet<string> = new Set(['etc/passwd', 'etc/group']);
const maxInlineBytes = 1024 * 1024;

interface Found {
  entry: TarEntry;
  offset: number;
  sparseOffset: number;
  inline?: Buffer[];
  /** Of a hard link within the layer. */
  target?: Found;
}

/** Collects while the reader runs; {@link entries} afterwards. */
export class Indexer implements TarHandler {
  readonly #sparse: SparseSink | undefined;
  readonly #found = new Map<BytePath, Found>();
  readonly #whiteouts = new Set<BytePath>();
  readonly #opaque = new Set<BytePath>();
  #current: Found | undefined;

  /** @param sparse absent: such contents are left out */
  constructor(sparse?: SparseSink) {
    this.#sparse = sparse;
  }

  entry(entry: TarEntry, dataOffset: number): void {
    this.#current = undefined;
    const marker = tarMarker(entry.path);
    if (marker) {
      if (marker.kind === 'whiteout') this.#whiteouts.add(joinPath(marker.parent, marker.name));
      else if (marker.kind === 'opaque') this.#opaque.add(marker.parent);
      return;
    }
    const isSparse = entry.type === 'file' && dataOffset < 0 && entry.size > 0;
    const found: Found = {
      entry,
      offset: entry.type === 'file' ? dataOffset : -1,
      sparseOffset: isSparse && this.#sparse ? this.#sparse.position : -1,
    };
    if (inlined.has(entry.path) && entry.size <= maxInlineBytes) found.inline = [];
    if (entry.type === 'hardlink') this.#link(found);
    const before = this.#found.get(entry.path);
    if (before?.entry.type === 'directory' && entry.type !== 'directory') this.#forgetBelow(entry.path);
    this.#found.set(entry.path, found);
    this.#current = found;
  }

  data(chunk: Uint8Array): void {
    const current = this.#current;
    if (!current) return;
    current.inline?.push(Buffer.from(chunk));
    if (current.sparseOffset >= 0) this.#sparse?.write(chunk);
  }

  zeros(count: number): void {
    const current = this.#current;
    if (!current) return;
    current.inline?.push(Buffer.alloc(count));
    if (current.sparseOffset >= 0) this.#sparse?.skip(count);
  }

  /** In byte order. */
  entries(): IndexedEntry[] {
    const list = [...this.#found].map(([path, found]) => this.#finished(path, found));
    list.push(...this.#hiding());
    return list.sort((a, b) => (a.entry.path < b.entry.path ? -1 : 1));
  }

  #link(found: Found): void {
    const target = this.#found.get((found.entry.linkTarget ?? '') as BytePath);
    // A link to a link is another name of the same file.
    if (target) found.target = target.target ?? target;
  }

  #forgetBelow(path: string): void {
    const start = `${path}/`;
    for (const other of this.#found.keys()) if (other.startsWith(start)) this.#found.delete(other);
  }

  #finished(path: BytePath, found: Found): IndexedEntry {
    const { target } = found;
    if (target) return this.#finishedLink(path, found, target);
    const { entry, offset, sparseOffset, inline } = found;
    const hides = this.#opaque.has(path) || this.#whiteouts.has(path);
    return {
      entry: hides && entry.type === 'directory' ? { ...entry, opaque: true } : entry,
      offset,
      sparseOffset,
      ...(inline ? { inline: Buffer.concat(inline) } : {}),
    };
  }

  /** When the name that the link was made from means another file by now, the first link takes the file over. */
  #finishedLink(path: BytePath, found: Found, target: Found): IndexedEntry {
    const owner = this.#found.get(target.entry.path);
    if (owner === target) {
      return { entry: { ...found.entry, linkTarget: target.entry.path }, offset: -1, sparseOffset: -1 };
    }
    target.entry = { ...target.entry, path };
    this.#found.set(path, target);
    return this.#finished(path, target);
  }

  /** Markers of names that the layer does not bring itself; one that it fills again is an opaque directory. */
  #hiding(): IndexedEntry[] {
    const parents = new Set<string>();
    if (this.#whiteouts.size > 0) {
      for (const path of this.#found.keys()) {
        for (let i = path.indexOf('/'); i >= 0; i = path.indexOf('/', i + 1)) parents.add(path.slice(0, i));
      }
    }
    const hiding: IndexedEntry[] = [];
    const add = (entry: LayerEntry) => hiding.push({ entry, offset: -1, sparseOffset: -1 });
    for (const path of new Set([...this.#opaque, ...this.#whiteouts])) {
      if (this.#found.has(path)) continue;
      const opaque = this.#opaque.has(path) || parents.has(path);
      if (opaque) add({ ...impliedDirectory(path), opaque: true });
      else add({ ...impliedDirectory(path), type: 'whiteout', mode: 0 });
    }
    return hiding;
  }
}
