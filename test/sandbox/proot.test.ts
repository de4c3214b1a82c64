// proot: the contract, but for what needs real rights, namespaces or mounts (docs/isolation.md).
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findProgram } from '../../src/host/probe.ts';
import { prootSandbox } from '../../src/sandbox/proot.ts';
import { readDockerProfile } from '../../src/sandbox/seccomp/docker-profile.ts';
import { bench, sandboxContract } from '../contracts/sandbox.ts';

const program = findProgram('proot', process.env.PATH);
if (program === undefined) throw new Error('proot is not installed');
const sandbox = prootSandbox({ program, version: '' });
sandboxContract(sandbox, [
  'RT-17: runs as the user, group and supplementary groups asked for',
  'RT-16: gives root the capabilities that Docker gives, none of them inheritable',
  'gives another user no capabilities',
  'has its own host name, hosts file and resolver',
  'has no network but a working loopback interface',
  'has the usual devices, a pseudo terminal and shared memory',
  'shows processes of the step only',
  'hides and protects what Docker hides and protects in /proc and /sys',
  'filters system calls as Docker does',
  'does not filter what was allowed to be insecure',
  'does not let anything be mounted',
  'shows a directory read-only, and one that can be written',
  'gives memory with a limit',
  'says that there is no place for a mount within one that is read-only',
  'makes shared memory as large as asked',
  'adds and drops capabilities',
  'drops all capabilities but those that are added, and adds all that it has itself',
  'lets a program have more rights than its caller, unless told not to',
  'lets what a capability is for through the filter',
  'filters system calls by a profile of the user',
  'compares arguments as a profile says',
  'does not filter when told not to',
  'keeps to the access that was given to a device',
  'finds a target behind a symlink within the root',
]);

test('proot shows the user asked for', async () => {
  using b = bench(sandbox);
  assert.deepEqual(await b.words('id -u; id -g', { uid: 1001, gid: 1002 }), ['1001', '1002']);
});

test('proot shows copies of what is read-only, and directories that can be written themselves', async () => {
  using b = bench(sandbox);
  const source = join(b.outside, 'dir');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'content\n');
  const mount = { kind: 'bind', source } as const;
  const words = await b.words('cat /ro/file; echo x > /ro/file; echo new > /rw/made', {
    mounts: [
      { ...mount, readonly: true, target: '/ro' },
      { ...mount, readonly: false, target: '/rw' },
    ],
  });
  assert.deepEqual(words, ['content']);
  assert.deepEqual(readdirSync(source), ['file', 'made']);
  assert.equal(readFileSync(join(source, 'file'), 'utf8'), 'content\n');
});

test('proot refuses to run a step without network', async () => {
  using b = bench(sandbox);
  await b.refused('sandbox', /network cannot be taken away/, 'true', { network: 'none' });
});

test('proot refuses capabilities, filters and the access to devices, which it cannot keep', () => {
  for (const [settings, flag] of [
    [{ capabilities: { add: ['CHOWN'], drop: [] } }, '--cap-add CHOWN'],
    [{ capabilities: { add: [], drop: ['ALL'] } }, '--cap-drop ALL'],
    [
      { seccomp: readDockerProfile('{"defaultAction":"SCMP_ACT_ALLOW"}', 'x') },
      '--security-opt seccomp=FILE',
    ],
    [
      { devices: [{ source: '/dev/null', target: '/dev/x', access: 'r' }] },
      '--device /dev/null with access r',
    ],
    [{ shmSize: 1 << 20 }, '--shm-size'],
  ] as const) {
    assert.throws(() => sandbox.check(settings), {
      code: 'sandbox',
      message: new RegExp(`^${flag} cannot be kept with --isolation=proot: `),
    });
  }
});
