// Guarded extraction: writes the entries of an archive that we do not trust into a directory.
//
// What it promises: nothing outside the root is read, written, made or removed, whatever names and links the archive
// has. The kernel resolves each parent directory inside the root (symlinks that earlier entries or layers made are
// followed there, as in a chroot, because real images need that), the last component is never followed, and what is
// in the way of an entry is removed before it is made. What it does not: it gives no promise about others who change
// the directory at the same time with the same rights; the root should be closed to them (mode 0700).
import { closeSync, constants, writeSync } from 'node:fs';
import { BuildError, type ErrorCode, errnoOf, messageOf, printable, unreachable } from '../errors.ts';
import {
  chmodAt,
  chownAt,
  type FileStat,
  orThrow,
  setTimesAt,
  tryLinkAt,
  tryMkdirAt,
  tryMknodAt,
  tryOpenAt,
  trySetXattr,
  tryStatAt,
  trySymlinkAt,
} from '../host/fs-calls.ts';
import { type BytePath, type Entry, showPath } from '../tree/entry.ts';
import { removeAt, removeContents } from '../tree/remove.ts';
import { openRoot, type Resolver, resolver } from '../tree/resolve.ts';
import { DirectoryCache } from './directory-cache.ts';
import { finishFile, type Ownership, setMetadata } from './extract-metadata.ts';
import { tarMarker } from './marker.ts';
import type { TarEntry, TarHandler } from './tar-reader.ts';

const {
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
} = constants;
const errno = { perm: 1, exists: 17 } as const;
const modeOfType = { char: S_IFCHR, block: S_IFBLK, fifo: S_IFIFO } as const;
const fileTypeMask = 0o170000;
/** What the archive's own names and links lead to, rather than this machine's state. */
const archiveFaults: ReadonlySet<string> = new Set(['ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EXDEV']);

export interface ExtractOptions {
  /**
   * What names that begin with `.wh.` mean. apply: what they name is removed here; overlay: they become overlay's own
   * marks (character device 0:0, opaque attribute); refuse: they are an error; literal: they are ordinary names.
   */
  readonly whiteouts: 'apply' | 'overlay' | 'refuse' | 'literal';
  /**
   * keep: owners as in the archive (needs root); caller: everything belongs to whoever runs this; record: so, and the
   * owner is kept in an attribute (tree/owner-record.ts). Default keep.
   */
  readonly ownership?: Ownership;
  /** What to do with a device that this process may not make. Default make: that is an error. */
  readonly devices?: 'make' | 'leave-out';
  /** Which attribute says `opaque`: a user namespace has to take `user`. Default trusted. */
  readonly overlayXattrs?: 'trusted' | 'user';
  /** Bytes of file content, holes not counted, beyond which extraction stops. Default: no limit. */
  readonly maxBytes?: number;
  /** Entries beyond which extraction stops (each takes an inode). Default: no limit. */
  readonly maxEntries?: number;
  /** Code of the errors that say that the directory cannot be written. Default store. */
  readonly failure?: ErrorCode;
  /** How paths are resolved; by default as the kernel allows. */
  readonly resolver?: Resolver;
}

/** The file that is being written. */
interface CurrentFile {
  readonly entry: Entry;
  readonly fd: number;
  position: number;
  /** Whether it ends in a hole so far. */
  hole: boolean;
}

interface PendingDirectory {
  readonly entry: Entry;
  /** Which directory was made for it: by the end its path may lead to another one. Unknown for implied ones. */
  readonly identity: string | undefined;
}

/** Receives the calls of a TarReader. One extraction per instance; {@link close} in any case. */
export class Extractor implements TarHandler {
  readonly #options: ExtractOptions;
  readonly #rootFd: number;
  readonly #resolver: Resolver;
  readonly #directories: DirectoryCache;
  /** Directories whose metadata is set at the end, by path; a restrictive mode or an ACL would be in the way before. */
  readonly #pending = new Map<string, PendingDirectory>();
  /** What this archive made, when its own whiteouts must spare it. */
  readonly #made: Set<string> | undefined;
  readonly #implied: BytePath[] = [];
  #file: CurrentFile | undefined;
  #bytes = 0;
  #entries = 0;
  #isOpen = true;

  /** @param root an existing directory that we chose ourselves */
  constructor(root: string, options: ExtractOptions) {
    this.#options = options;
    this.#rootFd = openRoot(root);
    this.#resolver = options.resolver ?? resolver();
    this.#directories = new DirectoryCache(this.#rootFd, this.#resolver, literal => this.#imply(literal));
    this.#made = options.whiteouts === 'apply' ? new Set() : undefined;
  }

  /** Directories that had no entry of their own and were made for what is in them: mode 0755, root's, time 0. */
  get impliedDirectories(): readonly BytePath[] {
    return this.#implied;
  }

  /**
   * Makes an entry; the content of a file follows in {@link data} and {@link zeros}.
   * @throws BuildError `hostile` for whiteouts that cannot be, `integrity` for a hard link without its target or past a
   *   limit, `unsupported` for a device that may not be made, `options.failure` when the directory cannot be written
   */
  entry(entry: TarEntry, dataOffset = 0): void {
    this.#guard(entry.path, () => {
      this.#endFile();
      this.#count(entry, dataOffset);
      if (!this.#marker(entry.path)) this.#make(entry);
    });
  }

  data(chunk: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#guard(file.entry.path, () => {
      this.#bytes += chunk.length;
      this.#checkBytes(this.#bytes);
      let done = 0;
      while (done < chunk.length) {
        done += writeSync(file.fd, chunk, done, chunk.length - done, file.position + done);
      }
      file.position += chunk.length;
      file.hole = false;
    });
  }

  /** A hole: nothing is written. */
  zeros(count: number): void {
    const file = this.#file;
    if (file === undefined) return;
    file.position += count;
    file.hole = true;
  }

  /** As {@link finish}: what a TarReader calls. */
  end(): void {
    this.finish();
  }

  /** Gives directories their owners, modes, attributes and times, and closes. */
  finish(): void {
    if (!this.#isOpen) return;
    this.#guard('', () => this.#endFile());
    const paths = [...this.#pending.keys()].sort();
    // Without root's rights what is inside comes first: a mode may forbid the way there.
    if (this.#options.ownership === 'caller') paths.reverse();
    for (const path of paths) {
      const pending = this.#pending.get(path);
      if (pending !== undefined) this.#guard(path, () => this.#finishDirectory(pending));
    }
    this.close();
  }

  /** Closes all descriptors; idempotent. What was extracted so far stays. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
    this.#directories.close();
    closeSync(this.#rootFd);
  }

  // Budget and errors

  #count(entry: Entry, dataOffset: number): void {
    this.#entries++;
    const { maxEntries } = this.#options;
    if (maxEntries !== undefined && this.#entries > maxEntries) {
      throw new BuildError('integrity', `the archive has more than ${maxEntries} entries`);
    }
    // A sparse file is counted as its bytes come.
    if (dataOffset >= 0) this.#checkBytes(this.#bytes + entry.size);
  }

  #checkBytes(bytes: number): void {
    const { maxBytes } = this.#options;
    if (maxBytes !== undefined && bytes > maxBytes) {
      throw new BuildError('integrity', `the archive unpacks to more than ${maxBytes} bytes`);
    }
  }

  #guard(path: string, act: () => void): void {
    try {
      act();
    } catch (error) {
      const reason = errnoOf(error);
      if (error instanceof BuildError || reason === undefined) throw error;
      const shown = printable(showPath(path));
      const code = archiveFaults.has(reason) ? 'integrity' : (this.#options.failure ?? 'store');
      throw new BuildError(code, `cannot extract '${shown}': ${messageOf(error)}`, {
        cause: error,
        facts: { path: shown, errno: reason },
      });
    }
  }

  // Whiteouts

  /** @returns whether the entry was a mark and has been dealt with */
  #marker(path: BytePath): boolean {
    const { whiteouts } = this.#options;
    if (whiteouts === 'literal') return false;
    const marker = tarMarker(path);
    if (marker === undefined) return false;
    if (whiteouts === 'refuse') {
      throw new BuildError(
        'hostile',
        `the archive has a whiteout where none may be: '${printable(showPath(path))}'`,
      );
    }
    if (marker.kind === 'private') return true;
    const parentFd = this.#directories.get(marker.parent);
    if (marker.kind === 'opaque') this.#opaque(marker.parent, parentFd);
    else if (whiteouts === 'apply') this.#applyWhiteout(marker.parent, parentFd, marker.name);
    else this.#overlayWhiteout(parentFd, marker.name);
    return true;
  }

  #opaque(parent: string, parentFd: number): void {
    if (this.#options.whiteouts === 'overlay') {
      this.#markOpaque(parentFd, '.');
      return;
    }
    const made = this.#made;
    const fd = orThrow(tryOpenAt(parentFd, '.', O_RDONLY | O_DIRECTORY), 'openat', parent);
    try {
      removeContents(fd, path => made?.has(join(parent, path)) ?? false);
    } finally {
      closeSync(fd);
    }
    this.#directories.invalidate();
  }

  /** A layer's whiteout is about the layers below: what the same layer made stays. */
  #applyWhiteout(parent: string, parentFd: number, name: string): void {
    const made = this.#made;
    const hidden = join(parent, name);
    const keep = (path: string): boolean => made?.has(join(hidden, path)) ?? false;
    if (made?.has(hidden) === true) {
      const fd = tryOpenAt(parentFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (fd < 0) return;
      try {
        removeContents(fd, keep);
      } finally {
        closeSync(fd);
      }
    } else removeAt(parentFd, name, keep);
    this.#directories.invalidate();
  }

  #overlayWhiteout(parentFd: number, name: string): void {
    const made = tryMknodAt(parentFd, name, S_IFCHR, 0, 0);
    if (made !== -errno.exists) orThrow(made, 'mknodat', name);
    // The layer has something of that name itself, which hides what is below already; a directory has to be told so.
    else if (typeAt(parentFd, name) === S_IFDIR) this.#markOpaque(parentFd, name);
  }

  #markOpaque(dirFd: number, name: string): void {
    const fd = orThrow(tryOpenAt(dirFd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), 'openat', name);
    try {
      orThrow(
        trySetXattr(fd, `${this.#options.overlayXattrs ?? 'trusted'}.overlay.opaque`, 'y'),
        'fsetxattr',
        name,
      );
    } finally {
      closeSync(fd);
    }
  }

  // Entries

  #make(entry: Entry): void {
    if (entry.path === '') {
      this.#pending.set('', { entry, identity: undefined });
      return;
    }
    const { parent, name } = split(entry.path);
    const dirFd = this.#directories.get(parent);
    this.#made?.add(entry.path);
    switch (entry.type) {
      case 'file':
        this.#file = { entry, fd: this.#create(dirFd, name), position: 0, hole: false };
        if (entry.size === 0) this.#endFile();
        return;
      case 'directory':
        this.#makeDirectory(entry, dirFd, name);
        return;
      case 'symlink':
        this.#replacing(dirFd, name, () => trySymlinkAt(entry.linkTarget ?? '', dirFd, name));
        this.#setNameMetadata(entry, dirFd, name);
        return;
      case 'hardlink':
        this.#link(entry, dirFd, name);
        return;
      case 'fifo':
      case 'char':
      case 'block':
        this.#makeDevice(entry, entry.type, dirFd, name);
        return;
      default:
        unreachable(entry.type);
    }
  }

  #create(dirFd: number, name: string): number {
    return this.#replacing(dirFd, name, () =>
      tryOpenAt(dirFd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
    );
  }

  /** Makes something; what is there already is removed first. `make` returns minus errno when it fails. */
  #replacing(dirFd: number, name: string, make: () => number): number {
    const result = make();
    if (result !== -errno.exists) return orThrow(result, 'create', name);
    this.#remove(dirFd, name);
    return orThrow(make(), 'create', name);
  }

  /** Only a directory or a link can be part of a path that was resolved before. */
  #remove(dirFd: number, name: string): void {
    const old = typeAt(dirFd, name);
    removeAt(dirFd, name);
    if (old === S_IFDIR || old === S_IFLNK) this.#directories.invalidate();
  }

  #makeDirectory(entry: Entry, dirFd: number, name: string): void {
    const made = tryMkdirAt(dirFd, name, 0o700);
    if (made === -errno.exists) this.#becomeDirectory(dirFd, name);
    else orThrow(made, 'mkdirat', name);
    this.#pending.set(entry.path, { entry, identity: identityOf(tryStatAt(dirFd, name)) });
  }

  /** A directory that is there stays with what is in it; anything else gives way. */
  #becomeDirectory(dirFd: number, name: string): void {
    if (typeAt(dirFd, name) === S_IFDIR) return;
    const wasWhiteout = this.#options.whiteouts === 'overlay' && isWhiteout(tryStatAt(dirFd, name));
    this.#remove(dirFd, name);
    orThrow(tryMkdirAt(dirFd, name, 0o700), 'mkdirat', name);
    // The whiteout hid a whole directory below; a plain new one would show it again.
    if (wasWhiteout) this.#markOpaque(dirFd, name);
  }

  #link(entry: Entry, dirFd: number, name: string): void {
    const target = split(entry.linkTarget ?? '');
    const targetFd = this.#directories.find(target.parent);
    const found = targetFd === undefined ? -1 : tryStatAt(targetFd, target.name);
    const type = typeof found === 'number' ? 0 : found.mode & fileTypeMask;
    const isHidden = this.#options.whiteouts === 'overlay' && isWhiteout(found);
    if (targetFd === undefined || type === 0 || type === S_IFDIR || isHidden) {
      const shown = printable(showPath(entry.path));
      const wanted = printable(showPath(entry.linkTarget ?? ''));
      const why = type === S_IFDIR ? 'is a directory' : 'is not in the archive';
      throw new BuildError('integrity', `'${shown}' is a hard link to '${wanted}', which ${why}`, {
        facts: { path: shown },
      });
    }
    // Two paths to one name: it is a link to itself already, and removing it first would lose it.
    if (identityOf(found) === identityOf(tryStatAt(dirFd, name))) return;
    this.#replacing(dirFd, name, () => tryLinkAt(targetFd, target.name, dirFd, name));
  }

  #makeDevice(entry: Entry, type: keyof typeof modeOfType, dirFd: number, name: string): void {
    const { devMajor = 0, devMinor = 0 } = entry;
    const shown = printable(showPath(entry.path));
    if (type === 'char' && devMajor === 0 && devMinor === 0 && this.#options.whiteouts === 'overlay') {
      throw new BuildError('hostile', `the archive has a device 0:0, which would hide a file: '${shown}'`);
    }
    const make = () => tryMknodAt(dirFd, name, modeOfType[type] | 0o600, devMajor, devMinor);
    const made = make();
    if (made === -errno.perm) {
      if (this.#options.devices === 'leave-out') return;
      throw new BuildError('unsupported', `the device '${shown}' cannot be made without the rights of root`, {
        hint: 'run slipway as root, outside of a user namespace',
        facts: { path: shown },
      });
    }
    if (made === -errno.exists) this.#replacing(dirFd, name, make);
    else orThrow(made, 'mknodat', name);
    this.#setNameMetadata(entry, dirFd, name);
  }

  // Metadata

  /** Of what cannot be opened: links, devices, fifos. Extended attributes do not occur on them. */
  #setNameMetadata(entry: Entry, dirFd: number, name: string): void {
    if ((this.#options.ownership ?? 'keep') === 'keep') chownAt(dirFd, name, entry.uid, entry.gid);
    // Follows links, but this name was just made and is none.
    if (entry.type !== 'symlink') chmodAt(dirFd, name, entry.mode);
    setTimesAt(dirFd, name, entry.mtimeSec, entry.mtimeNsec);
  }

  #endFile(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    try {
      finishFile(
        file.fd,
        file.entry,
        file.hole ? file.position : undefined,
        this.#options.ownership ?? 'keep',
      );
    } finally {
      closeSync(file.fd);
    }
  }

  #finishDirectory({ entry, identity }: PendingDirectory): void {
    const flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
    const { parent, name } = split(entry.path);
    const parentFd = this.#directories.find(parent);
    const fd = parentFd === undefined ? -1 : tryOpenAt(parentFd, name === '' ? '.' : name, flags);
    // Something else took its place since.
    if (fd < 0) return;
    try {
      if (identity !== undefined && identity !== identityOf(tryStatAt(fd, ''))) return;
      setMetadata(fd, entry, this.#options.ownership ?? 'keep');
    } finally {
      closeSync(fd);
    }
  }

  #imply(literal: string): void {
    const path = literal as BytePath;
    const entry: Entry = {
      path,
      type: 'directory',
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtimeSec: 0,
      mtimeNsec: 0,
      size: 0,
    };
    this.#implied.push(path);
    this.#made?.add(literal);
    this.#pending.set(literal, { entry, identity: undefined });
  }
}

function split(path: string): { readonly parent: string; readonly name: string } {
  const slash = path.lastIndexOf('/');
  return { parent: slash < 0 ? '' : path.slice(0, slash), name: path.slice(slash + 1) };
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`;
}

function typeAt(dirFd: number, name: string): number {
  const found = tryStatAt(dirFd, name);
  return typeof found === 'number' ? 0 : found.mode & fileTypeMask;
}

/** undefined for what is not there, so that it equals nothing that is. */
function identityOf(found: FileStat | number): string | undefined {
  return typeof found === 'number' ? undefined : `${found.dev}:${found.ino}`;
}

function isWhiteout(found: FileStat | number): boolean {
  if (typeof found === 'number') return false;
  return (found.mode & fileTypeMask) === S_IFCHR && found.devMajor === 0 && found.devMinor === 0;
}
