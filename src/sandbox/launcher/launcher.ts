// Programs made of system calls. What stands between slipway and a step (death signal, namespaces, mounts, capabilities,
// the first process that reaps) is a list of system calls with arguments known beforehand, and node can neither fork nor
// make such calls in a child. So the list is written, as data, behind 300 bytes of code that work through it (launcher-*.s):
// a static executable that depends on nothing of the machine or the image.
//
//   data   +0   result and record of a failed call: 16 bytes, written to the report
//          +16  status of the child that was waited for, written to the report
//          +24  descriptor of the report
//          +64  records of 80 bytes: operation, number, six arguments, expectation, value
//          ...  strings and other bytes that arguments point to
import { closeSync, openSync, writeSync } from 'node:fs';
import { BuildError } from '../../errors.ts';
import { check, declareC, SystemError } from '../../host/ffi.ts';
import { executable } from './elf.ts';
import { dataAddress, machineCode } from './machine-code.ts';
import { callNumber, type LauncherCall } from './syscalls.ts';

const RECORD = 80;
const RECORDS = 64;
const OPERATION = { call: 0, fork: 1, reap: 2 } as const;
const EXPECT = { success: 0, anything: 1, value: 2 } as const;
const SIGCHLD = 17;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const ALL_SEALS = 15;
/** Status of a launcher that could not do what its list says. */
export const launchFailed = 125;

/** An argument: a number, a C string, bytes, an array of C strings that ends with a null pointer, or 64-bit words. */
export type CallArgument =
  | number
  | bigint
  | string
  | Buffer
  | readonly string[]
  | { readonly words: readonly CallArgument[] };

export type LauncherStep =
  | {
      readonly kind: 'call';
      /** A name, or the number that the call has on the architecture the launcher is made for. */
      readonly call: LauncherCall | number;
      readonly args: readonly CallArgument[];
      /** Default: a failure ends the launcher. A number: so does any other result. */
      readonly expect?: 'success' | 'anything' | number;
      /** What is being done, for the message: `mount /proc`. */
      readonly purpose?: string;
    }
  /** The child goes on with `child`; the parent waits for it, reaping whatever else ends, and ends the same way. */
  | { readonly kind: 'fork'; readonly flags: number; readonly child: readonly LauncherStep[] };

/** Shorthand for a step that is a call. */
export function call(name: LauncherCall | number, ...args: readonly CallArgument[]): LauncherStep {
  return { kind: 'call', call: name, args };
}

/** A call whose failure does not matter. */
export function attempt(name: LauncherCall, ...args: readonly CallArgument[]): LauncherStep {
  return { kind: 'call', call: name, args, expect: 'anything' };
}

/** The same step with what it is for, which a message about its failure shows. */
export function named(purpose: string, step: LauncherStep): LauncherStep {
  return step.kind === 'call' ? { ...step, purpose } : step;
}

/** An executable and what its records mean. */
export interface Launcher {
  readonly file: Buffer;
  /** @returns what went wrong, from the bytes of a report; undefined when nothing did */
  explain(report: Buffer): BuildError | undefined;
}

/** Whether launchers can be made for this architecture. */
export function hasLauncher(arch: string = process.arch): boolean {
  return machineCode[arch] !== undefined;
}

/**
 * @param report descriptor (in the launcher) that failures and the wait status of the innermost child are written to
 * @param arch as process.arch
 * @throws BuildError `sandbox` on an architecture that there is no code for
 */
export function makeLauncher(
  steps: readonly LauncherStep[],
  report: number,
  arch: string = process.arch,
): Launcher {
  const code = machineCode[arch];
  if (code === undefined)
    throw new BuildError('sandbox', `the built-in sandbox does not know ${arch} processors`);
  const flat = flatten(steps);
  const data = encode(flat, report, arch);
  return {
    file: executable(arch, Buffer.from(code, 'hex'), data),
    explain: bytes => explainReport(bytes, flat),
  };
}

/** A step in its place: `next` is where the parent of a fork goes on. */
interface FlatStep {
  readonly step: LauncherStep | { readonly kind: 'reap' };
  next?: number;
}

function flatten(steps: readonly LauncherStep[]): readonly FlatStep[] {
  const flat: FlatStep[] = [];
  const add = (list: readonly LauncherStep[]) => {
    for (const step of list) {
      const place: FlatStep = { step };
      flat.push(place);
      if (step.kind !== 'fork') continue;
      add(step.child);
      place.next = flat.length;
      flat.push({ step: { kind: 'reap' } });
    }
  };
  add(steps);
  return flat;
}

function encode(flat: readonly FlatStep[], report: number, arch: string): Buffer {
  const head = Buffer.alloc(RECORDS + flat.length * RECORD);
  const pool = makePool(dataAddress + head.length);
  head.writeBigInt64LE(BigInt(report), 24);
  flat.forEach(({ step, next }, i) => {
    const at = RECORDS + i * RECORD;
    const put = (word: number, value: number | bigint) =>
      head.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at + word * 8);
    put(0, OPERATION[step.kind]);
    if (step.kind === 'reap') {
      put(2, report);
      return;
    }
    if (step.kind === 'fork') {
      put(1, callNumber('clone', arch));
      put(2, SIGCHLD | step.flags);
      put(9, dataAddress + RECORDS + (next ?? 0) * RECORD);
      return;
    }
    put(1, typeof step.call === 'number' ? step.call : callNumber(step.call, arch));
    step.args.forEach((argument, n) => {
      put(2 + n, pool.address(argument));
    });
    const value = typeof step.expect === 'number';
    put(8, typeof step.expect === 'number' ? EXPECT.value : EXPECT[step.expect ?? 'success']);
    if (value) put(9, Number(step.expect));
  });
  return Buffer.concat([head, pool.bytes()]);
}

/** Bytes that arguments point to, one after another from `start`, each at a multiple of 8. */
function makePool(start: number) {
  const parts: Buffer[] = [];
  let end = start;
  const place = (bytes: Buffer): number => {
    const at = end;
    const padded = Buffer.alloc(Math.ceil(bytes.length / 8) * 8);
    bytes.copy(padded);
    parts.push(padded);
    end += padded.length;
    return at;
  };
  const address = (argument: CallArgument): number | bigint => {
    if (typeof argument === 'number' || typeof argument === 'bigint') return argument;
    if (typeof argument === 'string') return place(Buffer.from(`${argument}\0`));
    if (Buffer.isBuffer(argument)) return place(argument);
    if ('words' in argument) {
      const words = argument.words.map(word => BigInt(address(word)));
      return place(Buffer.from(new BigUint64Array(words).buffer));
    }
    const pointers = argument.map(text => BigInt(place(Buffer.from(`${text}\0`))));
    return place(Buffer.from(new BigUint64Array([...pointers, 0n]).buffer));
  };
  return { address, bytes: () => Buffer.concat(parts) };
}

function explainReport(bytes: Buffer, flat: readonly FlatStep[]): BuildError | undefined {
  if (bytes.length < 16) return undefined;
  const errno = Number(-bytes.readBigInt64LE(0));
  const index = (Number(bytes.readBigUInt64LE(8)) - dataAddress - RECORDS) / RECORD;
  const step = flat[index]?.step;
  if (step === undefined) return undefined;
  const name = step.kind === 'call' ? String(step.call) : step.kind;
  const path = step.kind === 'call' ? step.purpose : undefined;
  if (errno <= 0) {
    const what = path === undefined ? name : `${name} '${path}'`;
    return new BuildError('sandbox', `the sandbox could not be set up: ${what} gave ${-errno}`, {
      facts: { call: name, index },
    });
  }
  const cause = new SystemError(errno, name, path);
  return new BuildError('sandbox', `the sandbox could not be set up: ${cause.message}`, {
    cause,
    facts: { call: name, errno: cause.code, index },
  });
}

/**
 * Puts an executable where it can be started and nobody can change it: a sealed file in memory, which is gone as soon as
 * it is closed and nobody runs it any more.
 */
export function openExecutable(file: Buffer): { readonly path: string; [Symbol.dispose](): void } {
  const create = declareC('int memfd_create(const void *name, uint flags)');
  const made = check(
    create(Buffer.from('slipway-launcher\0'), MFD_CLOEXEC | MFD_ALLOW_SEALING),
    'memfd_create',
  );
  let fd: number;
  try {
    for (let done = 0; done < file.length; ) done += writeSync(made, file, done);
    const seal = declareC('int fcntl(int fd, int command, int value)');
    check(seal(made, F_ADD_SEALS, ALL_SEALS), 'fcntl');
    // A file that somebody has open for writing cannot be started.
    fd = openSync(`/proc/self/fd/${made}`, 'r');
  } finally {
    closeSync(made);
  }
  return { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
}
