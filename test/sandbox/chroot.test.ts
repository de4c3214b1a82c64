// chroot: the contract, but for what needs a /proc, namespaces or mounts (docs/isolation.md).
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { chrootSandbox } from '../../src/sandbox/chroot.ts';
import { bench, sandboxContract } from '../contracts/sandbox.ts';

sandboxContract(chrootSandbox(), [
  'lets /dev/stdout be opened anew',
  'RT-17: runs as the user, group and supplementary groups asked for',
  'RT-16: gives root the capabilities that Docker gives, none of them inheritable',
  'gives another user no capabilities',
  'RT-01: hands no open file on but 0, 1 and 2',
  'has its own host name, hosts file and resolver',
  'has no network but a working loopback interface',
  'shares the network of the machine when asked to',
  'has the usual devices, a pseudo terminal and shared memory',
  'shows processes of the step only',
  'hides and protects what Docker hides and protects in /proc and /sys',
  'filters system calls as Docker does',
  'does not filter what was allowed to be insecure',
  'shows a directory read-only, and one that can be written',
  'gives memory with a limit',
  'says that there is no place for a mount within one that is read-only',
  'makes shared memory as large as asked',
  'adds and drops capabilities',
  'drops all capabilities but those that are added, and adds all that it has itself',
  'lets what a capability is for through the filter',
  'refuses new privileges when told to',
  'does not filter when told not to',
  'keeps to the access that was given to a device',
  'finds a target behind a symlink within the root',
  'RT-08: does not delete through a link that the step put in place of a mount point',
]);

test('chroot runs as the user and the groups asked for', async () => {
  using b = bench(chrootSandbox());
  const words = await b.words('id -u; id -g; id -G', { uid: 1001, gid: 1001, groups: [20, 30] });
  assert.deepEqual(words, ['1001', '1001', '1001', '20', '30']);
});

test('chroot lends copies of what is read-only, and directories that can be written themselves', async () => {
  using b = bench(chrootSandbox());
  const mount = (name: string, readonly: boolean) => {
    const source = join(b.outside, name);
    mkdirSync(source);
    writeFileSync(join(source, 'file'), name);
    return { kind: 'bind', source, readonly, target: `/${name}` } as const;
  };
  await b.words('echo x > /ro/file; echo x > /ro/new; echo x > /rw/new', {
    mounts: [mount('ro', true), mount('rw', false)],
  });
  assert.deepEqual(readdirSync(join(b.outside, 'ro')), ['file']);
  assert.deepEqual(readdirSync(join(b.outside, 'rw')), ['file', 'new']);
  assert.deepEqual(
    readdirSync(b.rootfs).filter(name => ['ro', 'rw'].includes(name)),
    [],
  );
});

test('chroot fails a step that moves away what it was lent, and touches nothing outside', async () => {
  using b = bench(chrootSandbox());
  mkdirSync(join(b.outside, 'b'));
  const mounts = [{ kind: 'tmpfs', target: '/a/b', readonly: false }] as const;
  await b.refused(
    'run',
    /has moved a directory that it was lent, or one around it/,
    `mv /a /a.old; ln -s ${b.outside} /a`,
    { mounts },
  );
  assert.deepEqual(readdirSync(b.outside), ['b']);
});

test('chroot refuses to run a step without network', async () => {
  using b = bench(chrootSandbox());
  await b.refused('sandbox', /network cannot be taken away/, 'true', { network: 'none' });
});

test('chroot gives root no capability to change the root again or to make devices', async () => {
  using b = bench(chrootSandbox());
  assert.deepEqual(
    await b.words('chroot / true 2>/dev/null || echo no; mknod /d b 7 0 2>/dev/null || echo no'),
    ['no', 'no'],
  );
});

test('chroot adds and drops capabilities, but none that a step could leave its root with', async () => {
  using b = bench(chrootSandbox());
  const chown = 'chown 5 /tmp 2>/dev/null && echo yes || echo no';
  assert.deepEqual(await b.words(chown, { capabilities: { add: [], drop: ['CHOWN'] } }), ['no']);
  assert.deepEqual(await b.words(chown, { capabilities: { add: ['CHOWN'], drop: ['ALL'] } }), ['yes']);
  for (const name of ['SYS_CHROOT', 'MKNOD', 'SYS_ADMIN'] as const) {
    const capabilities = { add: [name], drop: [] };
    assert.throws(() => b.sandbox.check({ capabilities }), {
      message: new RegExp(`^--cap-add ${name} cannot be kept with --isolation=chroot: `),
    });
  }
  const all = { capabilities: { add: ['ALL'], drop: [] } } as const;
  assert.deepEqual(await b.words('chroot / true 2>/dev/null || echo no', all), ['no']);
});

test('chroot refuses what would need mounts or a device cgroup', () => {
  const sandbox = chrootSandbox();
  const volume = { source: '/tmp', target: '/m', chown: false } as const;
  const device = { source: '/dev/null', target: '/dev/x', access: 'r' };
  assert.throws(() => sandbox.check({ volumes: [{ ...volume, access: 'rw' }] }), {
    message: /^--volume cannot be kept with --isolation=chroot: nothing can be mounted/,
  });
  sandbox.check({ volumes: [{ ...volume, access: 'ro' }] });
  assert.throws(() => sandbox.check({ devices: [device] }), { message: /no device cgroup/ });
  assert.throws(() => sandbox.check({ shmSize: 1 << 20 }), {
    message: /^--shm-size cannot be kept with --isolation=chroot/,
  });
});
