// The launcher: machine code that works through system calls. Its code must be what its source says.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import {
  attempt,
  call,
  type LauncherStep,
  makeLauncher,
  named,
  openExecutable,
} from '../../src/sandbox/launcher/launcher.ts';
import { machineCode } from '../../src/sandbox/launcher/machine-code.ts';
import { callNumber, launcherCalls } from '../../src/sandbox/launcher/syscalls.ts';
import { allowedCalls } from '../../src/sandbox/seccomp/numbers.ts';
import { repoRoot } from '../support/repo.ts';
import { tempDir } from '../support/rootfs.ts';

/** Runs steps natively; the report goes to stderr. */
function run(steps: readonly LauncherStep[]) {
  const launcher = makeLauncher(steps, 2);
  using program = openExecutable(launcher.file);
  const { status, signal, stdout, stderr } = spawnSync(program.path, { encoding: 'buffer' });
  return { status, signal, stdout: stdout.toString(), report: stderr, failure: launcher.explain(stderr) };
}

const exit = (status: number) => call('exit_group', status);
const print = (text: string) => call('write', 1, text, text.length);

test('calls are made one after another', () => {
  const { status, stdout } = run([print('one '), print('two'), exit(9)]);
  assert.deepEqual([status, stdout], [9, 'one two']);
});

test('a failed call ends it with its name, purpose and reason', () => {
  const { status, stdout, failure } = run([
    print('before '),
    named('enter /nowhere', call('chdir', '/nowhere')),
    print('after'),
  ]);
  assert.deepEqual([status, stdout], [125, 'before ']);
  assert.ok(failure instanceof BuildError);
  assert.match(failure.message, /ENOENT: no such file or directory, chdir 'enter \/nowhere'/);
  assert.deepEqual(failure.facts, { call: 'chdir', errno: 'ENOENT', index: 1 });
});

test('a failure that does not matter is passed over, a result that was not expected is not', () => {
  assert.equal(run([attempt('chdir', '/nowhere'), exit(3)]).status, 3);
  const wrong: LauncherStep = { kind: 'call', call: 'getppid', args: [], expect: 1_000_000_000 };
  assert.equal(run([wrong, exit(3)]).status, 125);
  const right: LauncherStep = { kind: 'call', call: 'getppid', args: [], expect: process.pid };
  assert.equal(run([right, exit(3)]).status, 3);
});

test('strings, lists of strings and nested pointers arrive', () => {
  const script = 'echo "$0 $A"; exit 4';
  const { status, stdout } = run([call('execve', '/bin/sh', ['sh', '-c', script, 'zero'], ['A=1 2'])]);
  assert.deepEqual([status, stdout], [4, 'zero 1 2\n']);
});

describe('the parent of a fork', () => {
  const fork = (child: readonly LauncherStep[]): LauncherStep => ({ kind: 'fork', flags: 0, child });
  const shell = (script: string) => call('execve', '/bin/sh', ['sh', '-c', script], []);

  test('ends as the child ends, and reports the status that wait gave', () => {
    const { status, report } = run([fork([exit(7)])]);
    assert.deepEqual([status, report.readUInt32LE(0)], [7, 7 << 8]);
  });

  test('ends with 128 and the number when a signal ended the child', () => {
    const { status, report } = run([fork([shell('kill -TERM $$')])]);
    assert.deepEqual([status, report.readUInt32LE(0) & 0x7f], [128 + 15, 15]);
  });

  test('passes on what a grandchild said', () => {
    const { status, report, failure } = run([fork([fork([call('chdir', '/nowhere')])])]);
    assert.equal(status, 125);
    assert.equal(report.length, 16 + 4 + 4);
    assert.equal(failure?.facts.call, 'chdir');
  });
});

test('what a report says is not trusted', () => {
  const launcher = makeLauncher([exit(0)], 2);
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.alloc(8),
    Buffer.alloc(16),
    Buffer.alloc(16, 0xff),
    Buffer.alloc(64, 0x41),
  ]) {
    assert.equal(launcher.explain(bytes), undefined);
  }
});

test('the executable in memory cannot be written to', () => {
  using program = openExecutable(makeLauncher([exit(0)], 2).file);
  assert.throws(() => writeFileSync(program.path, 'x'), { code: 'EPERM' });
});

test('an architecture without code is refused by name', () => {
  assert.throws(() => makeLauncher([exit(0)], 2, 'mips'), { code: 'sandbox', message: /mips/ });
});

for (const arch of ['x64', 'arm64'] as const) {
  test(`numbers for ${arch} agree with the tables of the system call filter`, () => {
    const both = launcherCalls.filter(name => allowedCalls[arch].has(name));
    assert.ok(both.length > 20);
    for (const name of both) assert.equal(callNumber(name, arch), allowedCalls[arch].get(name), name);
  });
}

test('the machine code is what its source assembles to', () => {
  const arch = process.arch;
  assert.ok(machineCode[arch] !== undefined, `no code for ${arch}`);
  using temp = tempDir();
  const at = (name: string) => join(temp.path, name);
  execFileSync('as', [join(repoRoot, `src/sandbox/launcher/launcher-${arch}.s`), '-o', at('object')]);
  execFileSync('objcopy', ['-O', 'binary', '-j', '.text', at('object'), at('code')]);
  assert.equal(readFileSync(at('code')).toString('hex'), machineCode[arch]);
});
