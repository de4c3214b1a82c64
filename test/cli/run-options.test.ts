// Flags about what RUN gets.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildDefaults } from '../../src/cli/options/build-options.ts';
import { makeBuildRequest } from '../../src/cli/options/build-request.ts';
import { runSettings } from '../../src/cli/options/run-options.ts';
import { BuildError } from '../../src/errors.ts';

const none = buildDefaults;

function refused(flags: Partial<Parameters<typeof runSettings>[0]>, message: RegExp): void {
  assert.throws(
    () => runSettings({ ...none, ...flags }, '/'),
    (error: unknown) => error instanceof BuildError && error.code === 'usage' && message.test(error.message),
  );
}

test('sizes are bytes with or without a unit', () => {
  for (const [text, bytes] of [
    ['64m', 64 << 20],
    ['1g', 1 << 30],
    ['4096', 4096],
    ['2KB', 2048],
  ] as const) {
    assert.equal(runSettings({ ...none, shmSize: text }, '/').shmSize, bytes);
  }
  for (const text of ['', '0', 'x', '1t', '-1']) refused({ shmSize: text }, /is not a size/);
});

test('limits have a soft and a hard value, the same when there is one', () => {
  const { limits } = runSettings({ ...none, ulimit: ['nofile=10:20', 'core=-1', 'nproc=5'] }, '/');
  assert.deepEqual(limits, [
    { name: 'nofile', soft: 10, hard: 20 },
    { name: 'core', soft: undefined, hard: undefined },
    { name: 'nproc', soft: 5, hard: 5 },
  ]);
  refused({ ulimit: ['nofile'] }, /is not name=soft/);
  refused({ ulimit: ['files=1'] }, /unknown limit "files"/);
  refused({ ulimit: ['nofile=3:2'] }, /above the hard one/);
  refused({ ulimit: ['nofile=-1:2'] }, /above the hard one/);
});

test('what cannot stand in resolv.conf is refused', () => {
  refused({ dns: ['example.test'] }, /is not an IP address/);
  refused({ dnsSearch: ['a\nnameserver 1.2.3.4'] }, /cannot stand in resolv.conf/);
});

test('--add-host takes IP addresses and host-gateway, and nothing that only looks like one', () => {
  const hosts = (...addHost: string[]) =>
    makeBuildRequest('.', { ...buildDefaults, addHost }, {}, '/').extraHosts;
  assert.deepEqual(hosts('a:1.2.3.4', 'b=::1', 'c:[fe80::1]'), [
    ['a', '1.2.3.4'],
    ['b', '::1'],
    ['c', 'fe80::1'],
  ]);
  for (const text of ['a', 'a:', 'a:1.2.3', 'a:1.2.3.400', 'a:abc', 'a b:1.2.3.4'])
    assert.throws(() => hosts(text), /is not name:ip/);
});

test('host-gateway stays what it is until the network of the step is known', () => {
  const request = makeBuildRequest('.', { ...buildDefaults, addHost: ['me:host-gateway'] }, {}, '/');
  assert.deepEqual(request.extraHosts, [['me', 'host-gateway']]);
});
