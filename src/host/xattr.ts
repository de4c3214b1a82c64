// Extended attributes (man7.org/linux/man-pages/man7/xattr.7.html): values are bytes; file capabilities are one of them.
import { check, declareC, failedWith } from './ffi.ts';

/** A path as text or as bytes. */
export type XattrPath = string | Buffer;

function cPath(path: XattrPath): Buffer {
  return Buffer.concat([Buffer.from(path as string), Buffer.alloc(1)]);
}

/**
 * All attributes of a file, a symlink at the end not followed; none where the file system has no such thing.
 * @returns values by name, sorted by name
 * @throws SystemError
 */
export function readXattrs(path: XattrPath): ReadonlyMap<string, Buffer> {
  const file = cPath(path);
  const names = withSize(path, (buffer, size) =>
    declareC('long llistxattr(const void *path, void *list, size_t size)')(file, buffer, size),
  );
  if (names === undefined) return new Map();
  const list = names.toString('latin1').split('\0').filter(Boolean).sort();
  const get = declareC('long lgetxattr(const void *path, const void *name, void *value, size_t size)');
  return new Map(
    list.flatMap(name => {
      const cName = Buffer.from(`${name}\0`, 'latin1');
      const value = withSize(path, (buffer, size) => get(file, cName, buffer, size));
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** One attribute; undefined when the file does not have it. @throws SystemError */
export function readXattr(path: XattrPath, name: string): Buffer | undefined {
  const get = declareC('long lgetxattr(const void *path, const void *name, void *value, size_t size)');
  const cName = Buffer.from(`${name}\0`, 'latin1');
  return withSize(path, (buffer, size) => get(cPath(path), cName, buffer, size));
}

/** Sets one attribute, a symlink at the end not followed. @throws SystemError */
export function writeXattr(path: XattrPath, name: string, value: Buffer): void {
  const set = declareC(
    'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  );
  check(
    set(cPath(path), Buffer.from(`${name}\0`, 'latin1'), value, value.length, 0),
    'lsetxattr',
    String(path),
  );
}

/** Asks for the size first, and again when it has grown meanwhile. */
function withSize(path: XattrPath, ask: (buffer: Buffer | null, size: number) => number): Buffer | undefined {
  for (;;) {
    const size = ask(null, 0);
    if (size < 0 && (failedWith('ENODATA') || failedWith('EOPNOTSUPP'))) return undefined;
    check(size, 'getxattr', String(path));
    if (size === 0) return Buffer.alloc(0);
    const buffer = Buffer.alloc(size);
    const read = ask(buffer, size);
    if (read >= 0) return buffer.subarray(0, read);
    if (failedWith('ENODATA')) return undefined;
    if (!failedWith('ERANGE')) check(read, 'getxattr', String(path));
  }
}

/** Takes one attribute away. @throws SystemError */
export function removeXattr(path: XattrPath, name: string): void {
  const remove = declareC('int lremovexattr(const void *path, const void *name)');
  check(remove(cPath(path), Buffer.from(`${name}\0`, 'latin1')), 'lremovexattr', String(path));
}
