// What a file is, whether it stands in a directory, a tar or a layer. Values that can be sent to a worker.

declare const bytePathBrand: unique symbol;
/**
 * A path whose every character is one byte (latin1), because file names are bytes and need be no UTF-8. Relative,
 * '/'-separated, no empty, `.` or `..` component; '' is the root itself. Comparing two with `<` is byte order.
 */
export type BytePath = string & { readonly [bytePathBrand]: true };

/** From text as people write it (UTF-8). The caller has cleaned it. */
export function bytePath(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1') as BytePath;
}

/** For people: UTF-8 where the bytes are, replacement characters where they are not. */
export function showPath(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

export type EntryType = 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'char' | 'block';

export interface Entry {
  readonly path: BytePath;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970, may be negative; `mtimeNsec` is 0 to 999999999 and adds to it. */
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  /** Bytes of content; 0 unless `type` is file. */
  readonly size: number;
  /** symlink: its text as bytes (latin1); hardlink: the path of the file in the same tree or layer that it is another name of. */
  readonly linkTarget?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Extended attributes, value as latin1 bytes; sorted by name when written. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** An entry of a layer: as above, or the mark that a path of the layers below is gone. */
export interface LayerEntry extends Omit<Entry, 'type'> {
  readonly type: EntryType | 'whiteout';
  /** A directory that hides everything the layers below have in it. */
  readonly opaque?: boolean;
}

/** Where the bytes of a regular file are. All kinds can be sent to a worker. */
export type ContentSource =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** A part of a file that we wrote ourselves, such as a tar in the store. */
  | { readonly kind: 'range'; readonly file: string; readonly offset: number; readonly size: number }
  /** A file below a directory that we do not trust; opened without following a link in any component. */
  | { readonly kind: 'in-tree'; readonly root: string; readonly path: BytePath; readonly size: number };

/** A layer entry together with its content (files only). */
export interface LayerInput {
  readonly entry: LayerEntry;
  readonly content?: ContentSource;
}
