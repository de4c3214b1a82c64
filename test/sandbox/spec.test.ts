// The runtime configuration: what a request turns into.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SandboxRequest } from '../../src/sandbox/sandbox.ts';
import type { SeccompProfile } from '../../src/sandbox/seccomp/profile.ts';
import { runtimeSpec, type SpecInput } from '../../src/sandbox/spec.ts';

const request: SandboxRequest = {
  rootfs: '/r',
  argv: ['sh'],
  env: ['A=1'],
  cwd: '/w',
  uid: 0,
  gid: 0,
  groups: [],
  hostname: 'h',
  network: 'host',
  security: 'sandbox',
  mounts: [],
  extraHosts: [],
  signal: new AbortController().signal,
  onOutput: () => {},
};
const profile: SeccompProfile = { defaultAction: 'SCMP_ACT_ALLOW', architectures: [], syscalls: [] };
const machine: SpecInput = {
  mounts: [],
  openFiles: 1024,
  available: (1n << 41n) - 1n,
  cgroup2: false,
  deviceCgroup: true,
  devices: [],
  seccomp: profile,
};

interface Spec {
  readonly annotations: object;
  readonly hooks?: object;
  readonly process: {
    readonly noNewPrivileges: boolean;
    readonly terminal: boolean;
    readonly user: object;
    readonly capabilities: Record<string, readonly string[]>;
    readonly rlimits: readonly object[];
  };
  readonly mounts: readonly { readonly destination: string; readonly options: readonly string[] }[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: string }[];
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
    readonly seccomp?: object;
    readonly resources: { readonly devices?: readonly object[] };
  };
}

function specOf(change: Partial<SandboxRequest> = {}, on: Partial<SpecInput> = {}): Spec {
  return runtimeSpec({ ...request, ...change }, { ...machine, ...on }) as Spec;
}

test('nothing of a request reaches the annotations or hooks', () => {
  const spec = specOf({ env: ['run.oci.handler=krun'], hostname: 'run.oci.hooks.stdout=/x' });
  assert.deepEqual(spec.annotations, {});
  assert.equal(spec.hooks, undefined);
});

test('host network shares the network namespace, none has its own', () => {
  const types = (spec: Spec) => spec.linux.namespaces.map(({ type }) => type);
  assert.deepEqual(types(specOf()), ['pid', 'ipc', 'uts', 'mount']);
  assert.deepEqual(types(specOf({ network: 'none' })), ['pid', 'ipc', 'uts', 'mount', 'network']);
  assert.ok(types(specOf({}, { cgroup2: true })).includes('cgroup'));
});

test('a user other than root has a bounding set and no capabilities', () => {
  const { capabilities, user } = specOf({ uid: 5, gid: 6, groups: [7, 6] }).process;
  assert.deepEqual(user, { uid: 5, gid: 6, umask: 0o022, additionalGids: [6, 7] });
  assert.equal(capabilities.bounding?.length, 14);
  assert.deepEqual([capabilities.effective, capabilities.permitted, capabilities.inheritable], [[], [], []]);
});

test('capabilities that slipway lacks are not asked for', () => {
  const chownOnly = specOf({}, { available: 1n }).process.capabilities;
  assert.deepEqual(chownOnly.bounding, ['CAP_CHOWN']);
});

test('an insecure step has everything and hides nothing', () => {
  const { linux, process, mounts } = specOf({ security: 'insecure' });
  assert.equal(process.capabilities.effective?.length, 41);
  assert.deepEqual([linux.maskedPaths, linux.readonlyPaths], [[], []]);
  assert.ok(mounts.find(mount => mount.destination === '/sys')?.options.includes('rw'));
});

test('a sandboxed step is filtered, sees /sys read-only and may open harmless devices only', () => {
  const { linux, mounts, process } = specOf();
  assert.deepEqual(linux.seccomp, profile);
  assert.ok(mounts.find(mount => mount.destination === '/sys')?.options.includes('ro'));
  assert.ok(linux.maskedPaths.includes('/proc/kcore') && linux.readonlyPaths.includes('/proc/sys'));
  assert.deepEqual(linux.resources.devices?.[0], { allow: false, access: 'rwm' });
  assert.deepEqual([process.noNewPrivileges, process.terminal], [false, false]);
});

test('mounts of the request come after those of the kernel', () => {
  const mount = { destination: '/dev/x', type: 'bind', source: '/s', options: ['bind'] };
  const destinations = specOf({}, { mounts: [mount] }).mounts.map(({ destination }) => destination);
  assert.equal(destinations.at(-1), '/dev/x');
  assert.equal(destinations[0], '/proc');
});
