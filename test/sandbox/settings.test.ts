// What is said about a machine on which nothing can be run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { howToEnable } from '../../src/sandbox/settings.ts';

const machine = (values: Readonly<Record<string, string>>, programs: readonly string[] = []) => ({
  isRoot: false,
  isRootless: false,
  sysctl: (name: string) => values[name],
  hasProgram: (name: string) => programs.includes(name),
});

test('the kernel setting that refuses user namespaces is named', () => {
  for (const [name, value, advice] of [
    ['user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=15000'],
    ['kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
    [
      'kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    ],
  ] as const) {
    assert.deepEqual(howToEnable(machine({ [name]: value }, ['proot'])), [
      `for namespace: as root: ${advice}`,
    ]);
  }
});

test('where no setting is wrong, a filter is suspected, and proot is recommended when it is missing', () => {
  const [namespace, proot] = howToEnable(machine({ 'user/max_user_namespaces': '1000' }));
  assert.match(namespace ?? '', /^for namespace: a seccomp filter or security module/);
  assert.equal(proot, 'for proot: install proot (apt-get install proot)');
});

test('an ordinary user who has namespaces is told what only root can have', () => {
  assert.deepEqual(howToEnable({ ...machine({}), isRootless: true }), ['for oci: run as root']);
});

test('root is told of capabilities', () => {
  const lines = howToEnable({ ...machine({}), isRoot: true });
  assert.match(lines.join('\n'), /CAP_SYS_ADMIN.*\n.*CAP_SYS_CHROOT/);
});
