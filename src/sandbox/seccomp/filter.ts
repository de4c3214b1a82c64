// Docker's default profile as a classic BPF program for seccomp(2) (docs.kernel.org/userspace-api/seccomp_filter.html).
// Loads are 32 bits from `struct seccomp_data`: number at 0, architecture at 4, low half of argument n at 16 + 8n.

import { allowedCalls, type CallNumbers } from './numbers.ts';
import { conditions, deniedErrno } from './profile.ts';

const LOAD = 0x20;
const JUMP = { equal: 0x15, greater: 0x25, atLeast: 0x35, anyBit: 0x45 } as const;
const RETURN = 0x06;
const ALLOW = 0x7fff0000;
const ERRNO = 0x00050000;
const ENOSYS = 38;
const OFFSET = { number: 0, arch: 4, firstArgument: 16 } as const;

const AUDIT_ARCH = { x64: 0xc000003e, i386: 0x40000003, arm64: 0xc00000b7 } as const;
/** Calls by the x32 convention have this bit. They are not told apart by the architecture. */
const X32_BIT = 0x40000000;

const conditionalNumbers = {
  x64: { clone: 56, clone3: 435, personality: 135, socket: 41 },
  i386: { clone: 120, clone3: 435, personality: 136, socket: 359 },
  arm64: { clone: 220, clone3: 435, personality: 92, socket: 198 },
} as const;

type Set = keyof typeof AUDIT_ARCH;

interface Instruction {
  readonly code: number;
  readonly yes?: number;
  readonly no?: number;
  readonly value: number;
}

/**
 * The program, 8 bytes an instruction, for all instruction sets that programs on this machine may use.
 * @param arch as process.arch
 * @returns undefined for an architecture without a table
 */
export function filterProgram(arch: string): Buffer | undefined {
  const sets: Readonly<Record<string, readonly Set[]>> = { x64: ['x64', 'i386'], arm64: ['arm64'] };
  const chosen = sets[arch];
  if (chosen === undefined) return undefined;
  const program = [load(OFFSET.arch), ...chosen.flatMap(section), result(ERRNO | ENOSYS)];
  return Buffer.concat(program.map(encode));
}

/** Skipped as a whole when the call is of another instruction set. */
function section(set: Set): readonly Instruction[] {
  const body = [
    load(OFFSET.number),
    ...(set === 'x64' ? [when(JUMP.atLeast, X32_BIT, [result(ERRNO | ENOSYS)])].flat() : []),
    ...conditionalCalls(set),
    ...ranges(allowedCalls[set]).flatMap(([first, last]) => allowRange(first, last)),
    result(ERRNO | deniedErrno),
  ];
  return unlessEqual(AUDIT_ARCH[set], body);
}

function conditionalCalls(set: Set): readonly Instruction[] {
  const numbers = conditionalNumbers[set];
  const deny = result(ERRNO | deniedErrno);
  const argument = load(OFFSET.firstArgument);
  const { cloneForbidden, clone3Errno, personalities, socketFamilies } = conditions;
  return [
    ...when(JUMP.equal, numbers.clone3, [result(ERRNO | clone3Errno)]),
    ...when(JUMP.equal, numbers.clone, [
      argument,
      ...when(JUMP.anyBit, cloneForbidden, [deny]),
      result(ALLOW),
    ]),
    ...when(JUMP.equal, numbers.personality, [
      argument,
      ...personalities.flatMap(value => when(JUMP.equal, value, [result(ALLOW)])),
      deny,
    ]),
    ...when(JUMP.equal, numbers.socket, [
      argument,
      ...socketFamilies.flatMap(([first, last]) => allowRange(first, last)),
      deny,
    ]),
  ];
}

function load(offset: number): Instruction {
  return { code: LOAD, value: offset };
}

function result(value: number): Instruction {
  return { code: RETURN, value };
}

/** `then` where the comparison holds; each ends with a result or goes on behind. */
function when(code: number, value: number, then: readonly Instruction[]): readonly Instruction[] {
  return [{ code, value, yes: 0, no: then.length }, ...then];
}

/** `then` where the value is equal. It may be longer than a conditional jump reaches: the way round is an unconditional one. */
function unlessEqual(value: number, then: readonly Instruction[]): readonly Instruction[] {
  return [{ code: JUMP.equal, value, yes: 1, no: 0 }, { code: 0x05, value: then.length }, ...then];
}

function allowRange(first: number, last: number): readonly Instruction[] {
  if (first === last) return when(JUMP.equal, first, [result(ALLOW)]);
  return [
    { code: JUMP.atLeast, value: first, yes: 0, no: 2 },
    { code: JUMP.greater, value: last, yes: 1, no: 0 },
    result(ALLOW),
  ];
}

function ranges(calls: CallNumbers): readonly (readonly [number, number])[] {
  const found: [number, number][] = [];
  for (const number of [...calls.values()].sort((a, b) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found;
}

function encode({ code, yes = 0, no = 0, value }: Instruction): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(yes, 2);
  bytes.writeUInt8(no, 3);
  bytes.writeUInt32LE(value >>> 0, 4);
  return bytes;
}
