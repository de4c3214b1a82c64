// The built-in rung: namespaces made by system calls of our own, for machines without an OCI runtime. It gives pid, ipc,
// uts, mount (and, for no network, network) namespaces, the same hidden paths, devices and capabilities as Docker, and a
// first process that reaps. There is no device cgroup: device files can be opened in /dev only.
import { closeSync, lstatSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { inUserNamespace, mappedIds } from '../host/ids.ts';
import { bindMount, mountKernel, mountTmpfs, unmount } from '../host/mount.ts';
import { effectiveCapabilities } from '../host/probe.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { lastCapability } from './capabilities.ts';
import { hasUnifiedCgroups } from './cgroups.ts';
import { defaultDevices, deviceLinks, shmSize } from './defaults.ts';
import { checkSettings, openStepCgroup, refuseSettings, seccompFor } from './demands.ts';
import { inDirectory, makeDirectory, openLiteral, openRoot, walkInRoot } from './in-root.ts';
import { guardedPaths, type Isolation, isolationSteps } from './launcher/isolate.ts';
import { cloneFlags, launch, supervised } from './launcher/supervise.ts';
import { mostOpenFiles } from './machine.ts';
import { explainPlace, explainStart, resultOf } from './outcome.ts';
import { type Prepared, type PreparedMount, prepareRun } from './prepare.ts';
import { openPrivateNetwork } from './private-network.ts';
import type { Rung } from './rung.ts';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.ts';
import { filterProgram } from './seccomp/filter.ts';

/** Group of terminals, the same in all distributions. */
const TTY_GROUP = 5;

const rung: Rung = {
  name: 'namespace',
  cannot: {
    deviceAccess: 'a device can be read and written, or not be given: there is no device cgroup',
    hooks: 'hooks are started by an OCI runtime',
  },
};

/** A sandbox that needs nothing but the kernel and root. */
export function namespaceSandbox(): Sandbox {
  return {
    name: rung.name,
    description: 'built-in namespaces',
    check: settings => checkSettings(settings, rung),
    run: runStep,
  };
}

async function runStep(request: SandboxRequest): Promise<SandboxResult> {
  throwIfInterrupted(request.signal);
  checkIds(request);
  refuseSettings(request, rung);
  await using network = request.network === 'private' ? await openPrivateNetwork(request) : undefined;
  const prepared = prepareRun(request);
  const place = join(prepared.dir, 'root');
  let cgroup: ReturnType<typeof openStepCgroup>;
  try {
    cgroup = openStepCgroup(request, rung);
    mountInside(request, prepared, place);
    const steps = supervised(isolationSteps({ ...request, rootfs: place }, lookAtMachine(request)), {
      namespaces: namespaces(request),
      parent: process.pid,
      ...(network === undefined ? {} : { network: network.path }),
      first: cgroup?.join() ?? [],
    });
    const supervision = await launch(steps, {
      dir: prepared.dir,
      signal: request.signal,
      onOutput: (stream, chunk) => request.onOutput(stream, chunk),
    });
    return resultOf(supervision, cgroup);
  } catch (error) {
    throw explainStart(error, request);
  } finally {
    cgroup?.remove();
    unmount(place);
    prepared.remove();
  }
}

/** @throws BuildError `sandbox` when the step is to run as somebody who does not exist in this user namespace */
function checkIds(request: SandboxRequest): void {
  const [uids, gids] = [mappedIds('uid'), mappedIds('gid')];
  if (request.uid < uids && request.gid < gids) return;
  const id = request.uid < uids ? `group id ${request.gid}` : `user id ${request.uid}`;
  throw new BuildError('sandbox', `nothing can be run with ${id}: you have only ${uids} ids to give here`, {
    hint: 'as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, and install newuidmap (uidmap)',
  });
}

function namespaces(request: SandboxRequest): number {
  const cgroup = hasUnifiedCgroups() ? cloneFlags.newCgroup : 0;
  const network = request.network === 'none' ? cloneFlags.newNet : 0;
  return cloneFlags.newUts | cloneFlags.newIpc | cgroup | network;
}

function lookAtMachine(request: SandboxRequest): Isolation {
  const profile = seccompFor(request);
  const seccomp = profile === undefined ? undefined : filterProgram(profile, process.arch);
  const look = (path: string) => lstatSync(path, { throwIfNoEntry: false });
  return {
    ...(seccomp === undefined ? {} : { seccomp }),
    openFiles: mostOpenFiles(),
    userNamespace: inUserNamespace(),
    singleId: mappedIds('gid') === 1,
    lastCapability: lastCapability(),
    available: effectiveCapabilities(),
    masked: guardedPaths.masked.flatMap(path => {
      const stat = look(path);
      return stat === undefined ? [] : [{ path, isDirectory: stat.isDirectory() }];
    }),
    readonlyPaths: guardedPaths.readonly.filter(path => look(path) !== undefined),
  };
}

/**
 * Mounts what does not depend on the new namespaces, in slipway's own mount namespace, of which the step's is a copy. All
 * of it is mounted below a second view of the root: that one is unmounted afterwards with everything on it, whatever the
 * step has renamed meanwhile.
 */
function mountInside(request: SandboxRequest, prepared: Prepared, place: string): void {
  mkdirSync(place);
  bindMount(request.rootfs, place);
  const root = openRoot(place);
  try {
    at(root, 'dev', dev => mountTmpfs(dev, { nosuid: true, nodev: true, mode: 0o755, size: 64 << 20 }));
    at(root, 'dev', dev => fillDev(dev, request.shmSize ?? shmSize));
    for (const mount of prepared.mounts) mountOne(root, mount);
  } catch (error) {
    throw explainPlace(error);
  } finally {
    closeSync(root);
  }
}

/** Runs `use` with what is at a literal path, seen through what is mounted there. */
function at(root: number, path: string, use: (fd: number) => void): void {
  const fd = openLiteral(root, path);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

function fillDev(dev: number, shm: number): void {
  const inside = (name: string) => `/proc/self/fd/${dev}/${name}`;
  for (const [name, major, minor] of defaultDevices) {
    if (!isDevice(`/dev/${name}`, major, minor)) continue;
    writeFileSync(inside(name), '');
    bindMount(`/dev/${name}`, inside(name), { nosuid: true, noexec: true });
  }
  for (const [name, target] of deviceLinks) symlinkSync(target, inside(name));
  for (const name of ['pts', 'shm', 'mqueue']) mkdirSync(inside(name), { mode: 0o755 });
  mountKernel(
    'devpts',
    inside('pts'),
    { nosuid: true, noexec: true },
    `newinstance,ptmxmode=0666,mode=0620${mappedIds('gid') > TTY_GROUP ? `,gid=${TTY_GROUP}` : ''}`,
  );
  mountTmpfs(inside('shm'), { nosuid: true, nodev: true, noexec: true, size: shm });
}

function isDevice(path: string, major: number, minor: number): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isCharacterDevice() === true && stat.rdev === major * 256 + minor;
}

function mountOne(root: number, mount: PreparedMount): void {
  const path = mount.target.slice(1);
  if (path.startsWith('dev/')) makeInDev(root, path, mount);
  at(root, Buffer.from(path).toString('latin1'), target => {
    if (mount.source === undefined) {
      const size = mount.size === undefined ? {} : { size: mount.size };
      const mode = mount.mode === undefined ? {} : { mode: mount.mode };
      mountTmpfs(target, { nosuid: true, nodev: true, readonly: mount.readonly, ...size, ...mode });
      return;
    }
    // It has its flags, and so has everything within it.
    bindMount(mount.source, target);
  });
}

/** /dev is ours by now: places in it are made as they are needed and vanish with it. */
function makeInDev(root: number, path: string, mount: PreparedMount): void {
  const isFile = mount.source !== undefined && !statSync(mount.source).isDirectory();
  walkInRoot(root, `/${Buffer.from(path).toString('latin1')}`, (fd, name, below, last) => {
    if (!last || !isFile) return makeDirectory(fd, name, below, last);
    writeFileSync(inDirectory(fd, name), '', { flag: 'wx' });
    return 'other';
  });
}
