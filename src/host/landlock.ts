// Landlock (landlock(7)): a process gives up most of the file system, and the kernel holds it and all that it starts to
// that; no rights are needed. What can be refused is to read, write, make, remove and execute files; looking at names,
// modes and owners and changing the latter stays as it was. Nor does such a process get at those outside: their
// environment and memory and, since version 6, signals to them.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { check, declareC } from './ffi.ts';
import { openFlags } from './fs-calls.ts';

/** Of syscall(2), the same everywhere. */
const createRuleset = 444;
const addRule = 445;
export const landlockRestrictSelf = 446;

const askVersion = 1;
const pathBeneath = 1;
const execute = 1 << 0;
const writeFile = 1 << 1;
const readFile = 1 << 2;
const readDirectory = 1 << 3;
/** What is done in a directory, from removing something to making a symbolic link. */
const changeDirectory = 0x1ff0;
/** To move or link into another directory; version 1 refuses that always. */
const refer = 1 << 13;
const truncate = 1 << 14;
const ofFiles = execute | writeFile | readFile | truncate;
const scopes = { abstractSockets: 1 << 0, signals: 1 << 1 } as const;

const accessBits = {
  all: ofFiles | readDirectory | changeDirectory | refer,
  'read and write': readFile | readDirectory | writeFile | truncate,
  read: readFile | readDirectory,
  execute: execute | readFile,
} as const;

/** What may be done with a file, or with a directory and what is below it. `execute` does not show names. */
export type LandlockAccess = keyof typeof accessBits;

/** Rules for whoever inherits the descriptor and calls landlock_restrict_self(2). Nothing is allowed but what is added. */
export interface LandlockRuleset {
  readonly fd: number;
  /**
   * @param place a path, whose links are followed, or an open file (O_PATH will do)
   * @throws SystemError
   */
  allow(place: string | number, access: LandlockAccess): void;
  [Symbol.dispose](): void;
}

/** What the kernel offers; 0: nothing. */
export function landlockVersion(): number {
  return Math.max(0, kernelCreates(null, 0, askVersion));
}

/**
 * @param version whose features to use
 * @returns undefined where the kernel has no Landlock, or one that refuses to move files (before Linux 5.19)
 * @throws SystemError
 */
export function makeLandlockRuleset(version = landlockVersion()): LandlockRuleset | undefined {
  if (version < 2) return undefined;
  const handled = accessBits.all & ~(version < 3 ? truncate : 0);
  const scoped = scopes.abstractSockets | scopes.signals;
  // struct landlock_ruleset_attr: file system, network, scopes; older kernels know its beginning.
  const attributes = Buffer.from(new BigUint64Array([BigInt(handled), 0n, BigInt(scoped)]).buffer);
  const fd = check(kernelCreates(attributes, version < 6 ? 8 : 24, 0), 'landlock_create_ruleset');
  return {
    fd,
    allow: (place, access) => allow(fd, place, accessBits[access] & handled),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

function allow(ruleset: number, place: string | number, access: number): void {
  const opened = typeof place === 'number' ? undefined : openSync(place, openFlags.path);
  try {
    const fd = opened ?? Number(place);
    // struct landlock_path_beneath_attr, packed
    const rule = Buffer.alloc(12);
    rule.writeBigUInt64LE(BigInt(fstatSync(fd).isDirectory() ? access : access & ofFiles), 0);
    rule.writeInt32LE(fd, 8);
    const add = declareC('long syscall(long nr, int ruleset, int type, const void *rule, uint flags)');
    check(add(addRule, ruleset, pathBeneath, rule, 0), 'landlock_add_rule');
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
}

function kernelCreates(attributes: Buffer | null, size: number, flags: number): number {
  const create = declareC('long syscall(long nr, const void *attr, size_t size, uint flags)');
  return create(createRuleset, attributes, size, flags);
}
