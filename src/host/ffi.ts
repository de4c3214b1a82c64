// The C library through koffi: what node:fs and node:child_process cannot say (openat2, xattrs, mknod, mount, unshare).
// koffi ships its binaries in the package, so nothing is compiled. It is loaded when the first function is declared.
import { createRequire } from 'node:module';
import { constants, getSystemErrorMessage, getSystemErrorName } from './errno.ts';

type CFunction = (...args: unknown[]) => number;

interface Koffi {
  load(path: string | null): { func(prototype: string): CFunction };
  errno(value?: number): number;
}

let koffi: Koffi | undefined;
let library: { func(prototype: string): CFunction } | undefined;
const declared = new Map<string, CFunction>();

/** An error with the shape of node's system errors, so that `errnoOf` works on it. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path: string | undefined;

  constructor(errno: number, syscall: string, path?: string) {
    const code = getSystemErrorName(errno);
    super(`${code}: ${getSystemErrorMessage(errno)}, ${syscall}${path === undefined ? '' : ` '${path}'`}`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
    this.path = path;
  }
}

/**
 * A function of the C library.
 * @param prototype as in C: `int mknod(const char *path, uint mode, ulong dev)`
 * @returns the function, made once per prototype; where it returns a negative number {@link check} turns errno into an error
 */
export function declareC(prototype: string): CFunction {
  const known = declared.get(prototype);
  if (known) return known;
  koffi ??= createRequire(import.meta.url)('koffi') as Koffi;
  library ??= koffi.load(null);
  const made = library.func(prototype);
  declared.set(prototype, made);
  return made;
}

/** errno of the last call on this thread. */
export function lastErrno(): number {
  return koffi?.errno() ?? 0;
}

/** @throws SystemError when `result` is negative; otherwise returns it */
export function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw new SystemError(lastErrno(), syscall, path);
  return result;
}

/** Whether the last call failed for this reason. */
export function failedWith(code: keyof typeof constants): boolean {
  return lastErrno() === constants[code];
}
