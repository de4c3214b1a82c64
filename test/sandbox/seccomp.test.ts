// Profiles of system calls: Docker's default one with more capabilities, those of users, and the programs made of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { capabilityNames, defaultCapabilities } from '../../src/sandbox/defaults.ts';
import { readDockerProfile } from '../../src/sandbox/seccomp/docker-profile.ts';
import { filterProgram } from '../../src/sandbox/seccomp/filter.ts';
import { allowedCalls } from '../../src/sandbox/seccomp/numbers.ts';
import { otherCalls } from '../../src/sandbox/seccomp/other-numbers.ts';
import { defaultProfile, type SeccompProfile } from '../../src/sandbox/seccomp/profile.ts';

const X64 = 0xc000003e;
const I386 = 0x40000003;
const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;

interface Call {
  readonly arch?: number;
  readonly number: number;
  readonly args?: readonly bigint[];
}

/** What the kernel would make of a call: works through the program. */
function answer(program: Buffer, { arch = X64, number, args = [] }: Call): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  args.forEach((arg, i) => {
    data.writeBigUInt64LE(arg, 16 + 8 * i);
  });
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const code = program.readUInt16LE(at * 8);
    const [yes, no, value] = [
      program[at * 8 + 2] ?? 0,
      program[at * 8 + 3] ?? 0,
      program.readUInt32LE(at * 8 + 4),
    ];
    const jump = (holds: boolean) => {
      at += holds ? yes : no;
    };
    if (code === 0x20) accumulator = data.readUInt32LE(value);
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0;
    else if (code === 0x05) at += value;
    else if (code === 0x15) jump(accumulator === value);
    else if (code === 0x25) jump(accumulator > value);
    else if (code === 0x35) jump(accumulator >= value);
    else if (code === 0x06) return value;
    else throw new Error(`instruction ${code}`);
  }
  throw new Error('the program does not end');
}

function programOf(profile: SeccompProfile | undefined): Buffer {
  assert.ok(profile);
  const program = filterProgram(profile, 'x64');
  assert.ok(program);
  assert.ok(program.length / 8 <= 4096);
  return program;
}

const usual = programOf(defaultProfile('x64', defaultCapabilities));
const number = (name: string) => allowedCalls.x64.get(name) ?? otherCalls.x64.get(name) ?? -1;

test('the default profile allows and refuses by number, argument and instruction set', () => {
  assert.equal(answer(usual, { number: number('read') }), ALLOW);
  assert.equal(answer(usual, { number: number('mount') }), EPERM);
  assert.equal(answer(usual, { number: number('clone3') }), ENOSYS);
  assert.equal(answer(usual, { number: number('clone'), args: [17n] }), ALLOW);
  assert.equal(answer(usual, { number: number('clone'), args: [0x10000000n] }), EPERM);
  assert.equal(answer(usual, { number: number('socket'), args: [2n] }), ALLOW);
  assert.equal(answer(usual, { number: number('socket'), args: [38n] }), EPERM);
  assert.equal(answer(usual, { number: number('personality'), args: [0x40000n] }), EPERM);
  assert.equal(answer(usual, { number: 0x40000000 }), ENOSYS);
  assert.equal(answer(usual, { arch: I386, number: 3 }), ALLOW);
  assert.equal(answer(usual, { arch: I386, number: 21 }), EPERM);
  assert.equal(answer(usual, { arch: 40, number: 1 }), ENOSYS);
});

test('a socket may be of these families and no others', () => {
  const allowed = Array.from({ length: 70 }, (_, family) => family).filter(
    family => answer(usual, { number: number('socket'), args: [BigInt(family)] }) === ALLOW,
  );
  const expected =
    '0 1 2 3 4 5 6 7 8 9 10 11 13 14 15 16 17 18 21 22 24 26 27 28 29 30 31 32 33 35 36 39 41 42 43 44 45';
  assert.equal(allowed.join(' '), expected);
  assert.equal(answer(usual, { number: number('socket'), args: [0x80000002n] }), EPERM);
});

test('no call is both allowed and not, and every capability opens calls that exist', () => {
  for (const set of ['x64', 'i386', 'arm64'] as const) {
    const numbers = [...allowedCalls[set].values(), ...otherCalls[set].values()];
    assert.equal(new Set(numbers).size, numbers.length, set);
  }
  const all = programOf(defaultProfile('x64', capabilityNames));
  for (const name of [
    'mount',
    'clone3',
    'bpf',
    'reboot',
    'init_module',
    'kcmp',
    'open_by_handle_at',
    'mbind',
  ]) {
    assert.equal(answer(usual, { number: number(name) }) === ALLOW, false, name);
    assert.equal(answer(all, { number: number(name) }), ALLOW, name);
  }
  assert.equal(answer(all, { number: number('clone'), args: [0x10000000n] }), ALLOW);
  assert.equal(answer(all, { number: number('keyctl') }), EPERM);
});

const at = { arch: 'x64', capabilities: defaultCapabilities, kernel: '6.1.0-13-amd64' };
const read = (profile: object) => readDockerProfile(JSON.stringify(profile), 'p.json').apply(at);

test('comparisons are of 64 bits', () => {
  const rule = (op: string, value: number, valueTwo?: number) =>
    programOf(
      read({
        defaultAction: 'SCMP_ACT_ERRNO',
        syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 1, value, valueTwo, op }] }],
      }),
    );
  const big = 5 * 2 ** 32 + 7;
  const [below, same, above] = [BigInt(big) - 1n, BigInt(big), BigInt(big) + 1n];
  const far = [4n << 32n, (6n << 32n) + 1n, 7n] as const;
  for (const [op, allowed] of [
    ['SCMP_CMP_EQ', [same]],
    ['SCMP_CMP_NE', [below, above, ...far]],
    ['SCMP_CMP_LT', [below, far[0], far[2]]],
    ['SCMP_CMP_LE', [below, same, far[0], far[2]]],
    ['SCMP_CMP_GT', [above, far[1]]],
    ['SCMP_CMP_GE', [same, above, far[1]]],
  ] as const) {
    const program = rule(op, big);
    for (const value of [below, same, above, ...far]) {
      const expected = (allowed as readonly bigint[]).includes(value) ? ALLOW : EPERM;
      assert.equal(answer(program, { number: 0, args: [0n, value] }), expected, `${value} ${op} ${big}`);
    }
  }
  const masked = rule('SCMP_CMP_MASKED_EQ', 2 ** 32 + 3, 2 ** 32 + 1);
  assert.equal(answer(masked, { number: 0, args: [0n, (5n << 32n) + 5n] }), ALLOW);
  assert.equal(answer(masked, { number: 0, args: [0n, 5n] }), EPERM);
  assert.equal(answer(masked, { number: 0, args: [0n, (1n << 32n) + 3n] }), EPERM);
});

test('all comparisons of a rule must hold, of one argument any; a rule without any comes first', () => {
  const equal = (index: number, value: number) => ({ index, value, op: 'SCMP_CMP_EQ' });
  const program = programOf(
    read({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        { names: ['read'], action: 'SCMP_ACT_ERRNO', errnoRet: 5, args: [equal(0, 1), equal(1, 2)] },
        { names: ['write'], action: 'SCMP_ACT_ERRNO', errnoRet: 6, args: [equal(0, 1), equal(0, 2)] },
        { names: ['open'], action: 'SCMP_ACT_ERRNO', args: [equal(0, 1)] },
        { names: ['open'], action: 'SCMP_ACT_KILL_PROCESS' },
      ],
    }),
  );
  assert.equal(answer(program, { number: 0, args: [1n, 2n] }), 0x00050005);
  assert.equal(answer(program, { number: 0, args: [1n, 3n] }), ALLOW);
  assert.equal(answer(program, { number: 1, args: [2n] }), 0x00050006);
  assert.equal(answer(program, { number: 1, args: [3n] }), ALLOW);
  assert.equal(answer(program, { number: 2, args: [1n] }), 0x80000000);
});

test('conditions about architecture, capabilities and kernel are settled', () => {
  const rules = (filters: object) =>
    read({
      defaultAction: 'SCMP_ACT_ERRNO',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', ...filters }],
    }).syscalls.length;
  assert.equal(rules({}), 1);
  assert.equal(rules({ includes: { caps: ['CAP_CHOWN'], arches: ['amd64'], minKernel: '4.8' } }), 1);
  assert.equal(rules({ includes: { caps: ['CAP_CHOWN', 'CAP_SYS_ADMIN'] } }), 0);
  assert.equal(rules({ includes: { arches: ['arm64', 's390x'] } }), 0);
  assert.equal(rules({ includes: { minKernel: '6.2' } }), 0);
  assert.equal(rules({ excludes: { caps: ['CAP_CHOWN', 'CAP_SYS_ADMIN'] } }), 0);
  assert.equal(rules({ excludes: { caps: ['CAP_SYS_ADMIN'], arches: ['arm64'] } }), 1);
  const { architectures } = read({
    defaultAction: 'SCMP_ACT_ALLOW',
    archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
  });
  assert.deepEqual(architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  const native = programOf(read({ defaultAction: 'SCMP_ACT_ALLOW' }));
  assert.equal(answer(native, { arch: I386, number: 3 }), ENOSYS);
});

test('what is no profile is refused with the file and the place', () => {
  for (const [text, message] of [
    ['x', /p\.json cannot be used: it is not JSON/],
    ['[]', /the profile is no object/],
    ['{}', /defaultAction undefined is not supported/],
    ['{"defaultAction":"SCMP_ACT_NOTIFY"}', /SCMP_ACT_NOTIFY is not supported/],
    ['{"defaultAction":"SCMP_ACT_ALLOW","sycalls":[]}', /unknown field sycalls/],
    ['{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_LOG"}]}', /has no names/],
    ['{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/x"}', /listenerPath is not supported/],
    ['{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1}', /defaultErrnoRet -1 is no whole number/],
  ] as const) {
    assert.throws(
      () => readDockerProfile(text, 'p.json'),
      (error: unknown) =>
        error instanceof BuildError && error.code === 'usage' && message.test(error.message),
      text,
    );
  }
});
