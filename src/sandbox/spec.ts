// A request as a runtime configuration (github.com/opencontainers/runtime-spec/blob/main/config.md). Pure.
// Nothing of the image decides about it: annotations are a fixed list here (it is empty), and hooks are those of devices
// that the user allowed.
import { grantedCapabilities } from './capabilities.ts';
import { maskedPaths, readonlyPaths, shmSize } from './defaults.ts';
import type { DeviceRule } from './devices.ts';
import { runtimeLimit, stepLimits } from './limits.ts';
import type { SandboxRequest } from './sandbox.ts';
import type { SeccompProfile } from './seccomp/profile.ts';

const usualPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** A mount in terms of the runtime. */
export interface SpecMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** What the request leaves open and the machine decides. */
export interface SpecInput {
  /** Mounts of the request and generated files, sources prepared, parents before what is below them. */
  readonly mounts: readonly SpecMount[];
  /** Largest number of open files that may be asked for. */
  readonly openFiles: number;
  /** Capabilities of this process as bits; no others can be given. */
  readonly available: bigint;
  /** `/slipway-...`; undefined leaves cgroups to the runtime's default. */
  readonly cgroupsPath?: string;
  /** Whether the machine has the unified hierarchy alone (then the step gets a cgroup namespace). */
  readonly cgroup2: boolean;
  /** Whether access to devices is limited by a cgroup. When it is not, /dev holds what it holds and nothing can be added. */
  readonly deviceCgroup: boolean;
  /** The filter; absent: none. */
  readonly seccomp?: SeccompProfile;
  /** What may be done with devices of the request; the mounts show them. */
  readonly devices: readonly DeviceRule[];
}

/** The configuration as an object to be written as config.json. */
export function runtimeSpec(request: SandboxRequest, input: SpecInput): object {
  const insecure = request.security === 'insecure';
  const capabilities = grantedCapabilities(request, input.available).map(name => `CAP_${name}`);
  const effective = request.uid === 0 ? capabilities : [];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: {
        uid: request.uid,
        gid: request.gid,
        umask: 0o022,
        additionalGids: [...new Set([request.gid, ...request.groups])],
      },
      args: request.argv,
      env: request.env,
      cwd: request.cwd,
      capabilities: { bounding: capabilities, effective, permitted: effective, inheritable: [], ambient: [] },
      rlimits: stepLimits(request, input.openFiles).map(runtimeLimit),
      noNewPrivileges: request.noNewPrivileges ?? false,
    },
    root: { path: request.rootfs, readonly: false },
    hostname: request.hostname,
    mounts: [...kernelMounts(insecure, request.shmSize ?? shmSize), ...input.mounts],
    annotations: {},
    ...(request.cdi?.hooks.length ? { hooks: hooksOf(request) } : {}),
    linux: {
      ...(input.cgroupsPath === undefined ? {} : { cgroupsPath: input.cgroupsPath }),
      namespaces: namespaces(request, input),
      resources: input.deviceCgroup ? { devices: deviceRules(insecure, input.devices) } : {},
      maskedPaths: insecure ? [] : maskedPaths,
      readonlyPaths: insecure ? [] : readonlyPaths,
      ...(input.seccomp === undefined ? {} : { seccomp: input.seccomp }),
    },
  };
}

function namespaces(request: SandboxRequest, input: SpecInput): readonly { readonly type: string }[] {
  const types = ['pid', 'ipc', 'uts', 'mount'];
  if (request.network === 'none') types.push('network');
  if (input.cgroup2) types.push('cgroup');
  return types.map(type => ({ type }));
}

function kernelMounts(insecure: boolean, shm: number): readonly SpecMount[] {
  const guarded = ['nosuid', 'noexec', 'nodev'];
  const dev = ['nosuid', 'strictatime', 'mode=755', 'size=65536k'];
  const pts = ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'];
  const access = insecure ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: guarded },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: dev },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: pts },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: [...guarded, 'mode=1777', `size=${shm}`],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: guarded },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...guarded, access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [...guarded, 'relatime', access],
    },
  ];
}

/**
 * By the point at which they are started. A hook without variables would get some that the image decides about (the
 * runtime is the step's process by then), and with them LD_PRELOAD.
 */
function hooksOf({ cdi }: SandboxRequest): Readonly<Record<string, readonly object[]>> {
  const hooks: Record<string, object[]> = {};
  for (const { name, path, args, env, timeout } of cdi?.hooks ?? []) {
    const hook = { path, args, env: env.length === 0 ? [usualPath] : env };
    hooks[name] = [...(hooks[name] ?? []), timeout === undefined ? hook : { ...hook, timeout }];
  }
  return hooks;
}

/** Everything may be made, only harmless devices may be opened (the runtime adds null, zero, tty and the like). */
function deviceRules(insecure: boolean, devices: readonly DeviceRule[]): readonly object[] {
  if (insecure) return [{ allow: true, access: 'rwm' }];
  return [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'b', access: 'm' },
    ...devices.map(({ type, major, minor, access }) => ({ allow: true, type, major, minor, access })),
  ];
}
