// Extended attributes by path (man7.org/linux/man-pages/man7/xattr.7.html): values are bytes; file capabilities are one
// of them. A symlink at the end of a path is not followed.
import { check, declareC } from './ffi.ts';
import { cName, getXattr, listXattrs } from './fs-calls.ts';

/** A path as text or as bytes. */
export type XattrPath = string | Buffer;

function nameOf(path: XattrPath): string {
  return Buffer.from(path as string).toString('latin1');
}

/**
 * All attributes of a file; none where the file system has no such thing.
 * @returns values by name, sorted by name
 * @throws SystemError
 */
export function readXattrs(path: XattrPath): ReadonlyMap<string, Buffer> {
  const file = nameOf(path);
  return new Map(
    listXattrs(file)
      .sort()
      .flatMap(name => {
        const value = getXattr(file, name);
        return value === undefined ? [] : [[name, Buffer.from(value, 'latin1')] as const];
      }),
  );
}

/** One attribute; undefined when the file does not have it. @throws SystemError */
export function readXattr(path: XattrPath, name: string): Buffer | undefined {
  const value = getXattr(nameOf(path), name);
  return value === undefined ? undefined : Buffer.from(value, 'latin1');
}

/** Sets one attribute. @throws SystemError */
export function writeXattr(path: XattrPath, name: string, value: Buffer): void {
  const set = declareC(
    'int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)',
  );
  check(set(cName(nameOf(path)), cName(name), value, value.length, 0), 'lsetxattr', String(path));
}

/** Takes one attribute away. @throws SystemError */
export function removeXattr(path: XattrPath, name: string): void {
  const remove = declareC('int lremovexattr(const void *path, const void *name)');
  check(remove(cName(nameOf(path)), cName(name)), 'lremovexattr', String(path));
}
