// Facts about this machine: programs in PATH, the id of this boot, what the kernel allows.
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const usual = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/**
 * Full path of a program: in `path`, else in the usual directories (an ordinary user's PATH lacks /usr/sbin).
 * @returns undefined when it is not installed
 */
export function findProgram(name: string, path: string | undefined): string | undefined {
  const dirs = [...(path ?? '').split(':').filter(dir => dir.startsWith('/')), ...usual];
  return dirs.map(dir => join(dir, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Another one after each start of the machine; '' where the kernel does not tell. */
export function bootId(): string {
  return readOr('/proc/sys/kernel/random/boot_id', '').trim();
}

/** A small text file of the kernel, or `otherwise` when it cannot be read. */
export function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

/** Effective capabilities of this process as a set of bits. */
export function effectiveCapabilities(): bigint {
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(readOr('/proc/self/status', ''))?.[1] ?? '0'}`);
}

/** Whether this process has a capability, by its number in linux/capability.h. */
export function hasCapability(number: number): boolean {
  return ((effectiveCapabilities() >> BigInt(number)) & 1n) === 1n;
}
