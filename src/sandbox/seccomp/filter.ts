// A profile as a classic BPF program for seccomp(2) (docs.kernel.org/userspace-api/seccomp_filter.html).
// Loads are 32 bits from `struct seccomp_data`: number at 0, architecture at 4, low half of argument n at 16 + 8n.

import { BuildError } from '../../errors.ts';
import { allowedCalls } from './numbers.ts';
import { otherCalls } from './other-numbers.ts';
import type { SeccompAction, SeccompComparison, SeccompProfile, SeccompRule } from './profile.ts';

const LOAD = 0x20;
const AND = 0x54;
const JUMP = { always: 0x05, equal: 0x15, greater: 0x25, atLeast: 0x35 } as const;
const RETURN = 0x06;
const ERRNO = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;
const OFFSET = { number: 0, arch: 4, firstArgument: 16 } as const;
/** BPF_MAXINSNS */
const MOST_INSTRUCTIONS = 4096;

/** What the program answers; the low 16 bits are an errno or a message. */
const answers: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_ALLOW: 0x7fff0000,
  SCMP_ACT_ERRNO: ERRNO,
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
};

/** Calls by the x32 convention have this bit. They are not told apart by the architecture. */
const X32_BIT = 0x40000000;

/** Instruction sets that there are tables for: their name in a profile, AUDIT_ARCH_*, and whether arguments have 64 bits. */
const sets = {
  x64: { architecture: 'SCMP_ARCH_X86_64', audit: 0xc000003e, wide: true },
  i386: { architecture: 'SCMP_ARCH_X86', audit: 0x40000003, wide: false },
  arm64: { architecture: 'SCMP_ARCH_AARCH64', audit: 0xc00000b7, wide: true },
} as const;

type Set = keyof typeof sets;

const setsOfMachine: Readonly<Record<string, readonly Set[]>> = { x64: ['x64', 'i386'], arm64: ['arm64'] };

interface Instruction {
  readonly code: number;
  readonly yes?: number;
  readonly no?: number;
  readonly value: number;
}

/**
 * The program, 8 bytes an instruction. Calls of instruction sets that the profile does not name, or that there is no
 * table for, do not exist (ENOSYS).
 * @param arch as process.arch
 * @returns undefined for a machine without a table
 * @throws BuildError `unsupported` for a profile that no program can be made of
 */
export function filterProgram(profile: SeccompProfile, arch: string): Buffer | undefined {
  const chosen = setsOfMachine[arch]?.filter(set => profile.architectures.includes(sets[set].architecture));
  if (chosen === undefined) return undefined;
  const program = [
    load(OFFSET.arch),
    ...chosen.flatMap(set => unlessEqual(sets[set].audit, section(profile, set))),
    result(ERRNO | ENOSYS),
  ];
  if (program.length > MOST_INSTRUCTIONS) {
    throw new BuildError('unsupported', 'the seccomp profile is too large for the kernel');
  }
  return Buffer.concat(program.map(encode));
}

/** Rules of one call: those with comparisons count only when there is none without. */
interface CallRules {
  readonly always?: SeccompRule;
  readonly sometimes: readonly SeccompRule[];
}

function section(profile: SeccompProfile, set: Set): readonly Instruction[] {
  const calls = rulesByNumber(profile, set);
  const otherwise = result(answer(profile.defaultAction, profile.defaultErrnoRet));
  const conditional = [...calls].filter(([, rules]) => rules.always === undefined);
  const always = [...calls].flatMap(([number, { always }]) =>
    always === undefined ? [] : [[number, answer(always.action, always.errnoRet)] as const],
  );
  return [
    load(OFFSET.number),
    ...(set === 'x64' ? [{ code: JUMP.atLeast, value: X32_BIT, yes: 0, no: 1 }, result(ERRNO | ENOSYS)] : []),
    ...conditional.flatMap(([number, { sometimes }]) =>
      unlessEqual(number, [...sometimes.flatMap(rule => conditionalRule(rule, sets[set].wide)), otherwise]),
    ),
    ...ranges(always).flatMap(range),
    otherwise,
  ];
}

function rulesByNumber(profile: SeccompProfile, set: Set): ReadonlyMap<number, CallRules> {
  const calls = new Map<number, CallRules>();
  for (const rule of profile.syscalls) {
    for (const name of rule.names) {
      const number = allowedCalls[set].get(name) ?? otherCalls[set].get(name);
      if (number === undefined) continue;
      const known = calls.get(number) ?? { sometimes: [] };
      if (rule.args !== undefined && rule.args.length > 0) {
        calls.set(number, { ...known, sometimes: [...known.sometimes, rule] });
      } else if (known.always === undefined) calls.set(number, { ...known, always: rule });
    }
  }
  return calls;
}

function answer(action: SeccompAction, errno: number | undefined): number {
  const takesErrno = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
  return answers[action] + (takesErrno ? (errno ?? EPERM) : 0);
}

/** Answers when all comparisons hold, else goes on behind. Two of one argument are alternatives, as for runc. */
function conditionalRule(rule: SeccompRule, wide: boolean): readonly Instruction[] {
  const args = rule.args ?? [];
  const then = result(answer(rule.action, rule.errnoRet));
  const repeats = new Set(args.map(({ index }) => index)).size < args.length;
  const alternatives = repeats ? args.map(each => [each]) : [args];
  return alternatives.flatMap(all =>
    all.reduceRight<readonly Instruction[]>((body, each) => onlyIf(each, wide, body), [then]),
  );
}

/** `body` is reached when the comparison holds; otherwise what comes behind it. */
function onlyIf(
  { op, index, value, valueTwo = 0 }: SeccompComparison,
  wide: boolean,
  body: readonly Instruction[],
): readonly Instruction[] {
  const masked = op === 'SCMP_CMP_MASKED_EQ';
  const [mask, wanted] = masked ? [halves(value), halves(valueTwo)] : [undefined, halves(value)];
  const high = [load(OFFSET.firstArgument + 8 * index + 4), ...and(mask?.high)];
  const low = [load(OFFSET.firstArgument + 8 * index), ...and(mask?.low)];
  const skip = body.length;
  const holds = (code: number) => ({ code, value: wanted.low, yes: 0, no: skip });
  const fails = (code: number) => ({ code, value: wanted.low, yes: skip, no: 0 });
  const last = {
    SCMP_CMP_EQ: holds(JUMP.equal),
    SCMP_CMP_MASKED_EQ: holds(JUMP.equal),
    SCMP_CMP_NE: fails(JUMP.equal),
    SCMP_CMP_GT: holds(JUMP.greater),
    SCMP_CMP_GE: holds(JUMP.atLeast),
    SCMP_CMP_LT: fails(JUMP.atLeast),
    SCMP_CMP_LE: fails(JUMP.greater),
  }[op];
  const lowPart = [...low, last];
  if (!wide) return [...lowPart, ...body];
  const [toBody, toEnd] = [lowPart.length, lowPart.length + skip];
  return [...high, ...decideByHigh(op, wanted.high, toBody, toEnd), ...lowPart, ...body];
}

/** The upper halves decide unless they are equal. @param toBody, toEnd how far away the two are */
function decideByHigh(
  op: SeccompComparison['op'],
  high: number,
  toBody: number,
  toEnd: number,
): readonly Instruction[] {
  const unequal = (to: number) => [{ code: JUMP.equal, value: high, yes: 0, no: to }];
  const byOrder = (above: number, below: number) => [
    { code: JUMP.greater, value: high, yes: above + 1, no: 0 },
    { code: JUMP.equal, value: high, yes: 0, no: below },
  ];
  switch (op) {
    case 'SCMP_CMP_EQ':
    case 'SCMP_CMP_MASKED_EQ':
      return unequal(toEnd);
    case 'SCMP_CMP_NE':
      return unequal(toBody);
    case 'SCMP_CMP_GT':
    case 'SCMP_CMP_GE':
      return byOrder(toBody, toEnd);
    case 'SCMP_CMP_LT':
    case 'SCMP_CMP_LE':
      return byOrder(toEnd, toBody);
  }
}

function halves(value: number): { readonly high: number; readonly low: number } {
  return { high: Math.floor(value / 2 ** 32), low: value % 2 ** 32 };
}

function and(mask: number | undefined): readonly Instruction[] {
  return mask === undefined ? [] : [{ code: AND, value: mask }];
}

function load(offset: number): Instruction {
  return { code: LOAD, value: offset };
}

function result(value: number): Instruction {
  return { code: RETURN, value };
}

/** `then` where the value is equal. It may be longer than a conditional jump reaches: the way round is an unconditional one. */
function unlessEqual(value: number, then: readonly Instruction[]): readonly Instruction[] {
  return [{ code: JUMP.equal, value, yes: 1, no: 0 }, { code: JUMP.always, value: then.length }, ...then];
}

interface Range {
  readonly first: number;
  last: number;
  readonly answer: number;
}

function range({ first, last, answer }: Range): readonly Instruction[] {
  if (first === last) return [{ code: JUMP.equal, value: first, yes: 0, no: 1 }, result(answer)];
  return [
    { code: JUMP.atLeast, value: first, yes: 0, no: 2 },
    { code: JUMP.greater, value: last, yes: 1, no: 0 },
    result(answer),
  ];
}

/** Neighbouring numbers with one answer, together. */
function ranges(calls: readonly (readonly [number, number])[]): readonly Range[] {
  const found: Range[] = [];
  for (const [number, answer] of [...calls].sort(([a], [b]) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && last.last === number - 1 && last.answer === answer) last.last = number;
    else found.push({ first: number, last: number, answer });
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
