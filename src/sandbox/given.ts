// How a step is given its devices of the Container Device Interface (cdi/), or why it cannot be.
import {
  accessSync,
  type BigIntStats,
  chmodSync,
  constants,
  lchownSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { cwdFd, tryMknodAt } from '../host/fs-calls.ts';
import { inUserNamespace, mappedIds } from '../host/ids.ts';
import { hasCapability } from '../host/probe.ts';
import type { GivenDevices } from './cdi/edits.ts';
import { type DeviceRule, deviceNumbers } from './devices.ts';
import { cannotGive, type Rung } from './rung.ts';
import type { NewDevice, SandboxMount, SandboxRequest, StepSettings } from './sandbox.ts';

const CAP_MKNOD = 27;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
/** As runtimes have it. */
const usualMode = 0o666;

type Node = GivenDevices['nodes'][number];
type Mount = GivenDevices['mounts'][number];

/** Whether device files can be made here, and opened afterwards. */
export function mayMakeDevices(): boolean {
  return hasCapability(CAP_MKNOD) && !inUserNamespace();
}

/** @throws BuildError `sandbox` naming the device, the rung and the reason */
export function checkGiven({ cdi }: StepSettings, rung: Rung): void {
  if (cdi === undefined) return;
  for (const node of cdi.nodes) checkNode(node, rung);
  for (const mount of cdi.mounts) checkMount(mount, rung);
  const { cannot } = rung;
  for (const { device, id } of cdi.groups) {
    const isNone = id >= mappedIds('gid') ? 'this id does not exist here' : undefined;
    refuse(cannot.groups ?? isNone, device, `the group ${id}`, rung);
  }
  for (const { device, name, path } of cdi.hooks) {
    refuse(cannot.hooks, device, `the hook ${name} (${printable(path)})`, rung);
    if (!isProgram(path)) {
      throw new BuildError(
        'sandbox',
        `the hook ${printable(path)} of the device ${device} is no program here`,
      );
    }
  }
}

/** Makes the device files once, somewhere: a container may have the right and be refused nevertheless. */
export function tryToMake({ cdi }: StepSettings, rung: Rung): void {
  const nodes = rung.cannot.newDevices === undefined && mayMakeDevices() ? (cdi?.nodes ?? []) : [];
  if (nodes.length === 0) return;
  const dir = mkdtempSync(join(tmpdir(), 'slipway-device-'));
  try {
    nodes.forEach((node, i) => {
      const made = tryMknodAt(
        cwdFd,
        join(dir, String(i)),
        modeOf(newDeviceOf(node, 0, 0)),
        ...numbersOf(node),
      );
      refuse(made < 0 ? 'that cannot be made here' : undefined, node.device, fileOf(node), rung);
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The mounts and device files that devices consist of; those of devices that are to be made have `device`. */
export function givenMounts(request: SandboxRequest, canMake: boolean): readonly SandboxMount[] {
  const { cdi, uid, gid } = request;
  if (cdi === undefined) return [];
  const makes = canMake && mayMakeDevices();
  return [
    ...cdi.mounts.map(({ source, target, readonly, noexec }): SandboxMount => {
      const real = realpathSync(source);
      const isFile = !statSync(real).isDirectory();
      return { kind: 'bind', source: real, target, readonly, noexec, isFile };
    }),
    ...cdi.nodes.map((node): SandboxMount => {
      const common = {
        kind: 'bind',
        target: node.path,
        readonly: false,
        isFile: true,
        isDevice: true,
      } as const;
      if (makes) return { ...common, newDevice: newDeviceOf(node, uid, gid) };
      return { ...common, source: realpathSync(node.hostPath) };
    }),
  ];
}

/** What a cgroup of devices has to let through. */
export function givenRules({ cdi }: StepSettings): readonly DeviceRule[] {
  return (cdi?.nodes ?? [])
    .filter(({ access }) => access !== '')
    .map(node => {
      const [major, minor] = numbersOf(node);
      return { type: typeOf(node), major, minor, access: node.access };
    });
}

/** @throws BuildError `sandbox` where it cannot be made */
export function makeDevice(device: NewDevice, place: string): void {
  const made = tryMknodAt(cwdFd, place, modeOf(device), device.major, device.minor);
  if (made < 0) {
    throw new BuildError(
      'sandbox',
      `${printable(device.name)} cannot be given to a step: no device file can be made`,
    );
  }
  lchownSync(place, device.uid, device.gid);
  chmodSync(place, device.mode);
}

function modeOf({ type, mode }: Pick<NewDevice, 'type' | 'mode'>): number {
  return (type === 'b' ? S_IFBLK : S_IFCHR) | mode;
}

/** As runtimes do it: unless its specification says otherwise, the file belongs to the user of the step. */
function newDeviceOf(node: Node, uid: number, gid: number): NewDevice {
  const [major, minor] = numbersOf(node);
  return {
    ...{ name: node.path, type: typeOf(node), major, minor },
    ...{ mode: node.mode ?? usualMode, uid: node.uid ?? uid, gid: node.gid ?? gid },
  };
}

function typeOf(node: Node): 'c' | 'b' {
  return node.numbers?.type ?? foundAt(node).type;
}

function numbersOf(node: Node): readonly [number, number] {
  const { major, minor } = node.numbers ?? foundAt(node);
  return [major, minor];
}

/** The device file of this machine. @throws BuildError `sandbox` */
function foundAt(node: Node) {
  const stat = lookAt(node.hostPath, node.device);
  const refuse = (why: string) => notHere(node.device, node.hostPath, why);
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) throw refuse('is no device file');
  const type = stat.isBlockDevice() ? ('b' as const) : ('c' as const);
  if (node.type !== undefined && node.type !== type) throw refuse(`is not of type ${node.type}`);
  const { uid, gid } = stat;
  return { type, ...deviceNumbers(stat.rdev), mode: Number(stat.mode), uid: Number(uid), gid: Number(gid) };
}

/** @throws BuildError `sandbox` for what is not there, or hidden from this user */
function lookAt(path: string, device: string): BigIntStats {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    const errno = errnoOf(error);
    const why = errno === 'ENOENT' ? 'does not exist' : `cannot be looked at (${errno ?? messageOf(error)})`;
    throw notHere(device, path, why);
  }
}

function notHere(device: string, path: string, why: string): BuildError {
  return new BuildError('sandbox', `the device ${device} is not here: ${printable(path)} ${why}`);
}

function fileOf(node: Node): string {
  return `the device file ${printable(node.path)}`;
}

function refuse(reason: string | undefined, device: string, part: string, rung: Rung): void {
  if (reason !== undefined) throw cannotGive(device, part, rung.name, reason);
}

function checkNode(node: Node, rung: Rung): void {
  const { device, access } = node;
  refuse(rung.cannot.devices, device, fileOf(node), rung);
  if (!access.includes('r') || !access.includes('w')) {
    refuse(rung.cannot.deviceAccess, device, `${fileOf(node)} with access ${access || 'none'}`, rung);
  }
  const reason =
    rung.cannot.newDevices ?? (mayMakeDevices() ? undefined : 'slipway may not make device files here');
  if (reason === undefined) numbersOf(node);
  else if (!showsTheSame(node)) {
    const other = `${printable(node.hostPath)} has another number, mode or owner`;
    throw cannotGive(device, fileOf(node), rung.name, `${reason}, and ${other}`);
  }
}

/** Whether the file of this machine can stand for the one that is described. */
function showsTheSame(node: Node): boolean {
  const found = foundAt(node);
  const { numbers, mode, uid, gid } = node;
  if (numbers && (numbers.major !== found.major || numbers.minor !== found.minor)) return false;
  const isOpen = (found.mode & usualMode) === usualMode;
  const sameOwner = (uid ?? found.uid) === found.uid && (gid ?? found.gid) === found.gid;
  return isOpen || (sameOwner && (mode ?? found.mode & 0o777) === (found.mode & 0o777));
}

function checkMount(mount: Mount, rung: Rung): void {
  const source = printable(mount.source);
  const part = `the mount ${source}`;
  const stat = lookAt(mount.source, mount.device);
  if (!stat.isDirectory() && !stat.isFile() && !stat.isSocket()) {
    throw new BuildError(
      'sandbox',
      `the device ${mount.device} cannot be given: ${source} is neither a directory nor a file nor a socket`,
    );
  }
  const { cannot } = rung;
  if (stat.isSocket()) refuse(cannot.sockets, mount.device, `${part}, a socket`, rung);
  const isLost = cannot.writableVolumes && 'what is written to a copy is lost';
  if (!mount.readonly) refuse(isLost, mount.device, `${part}, which can be written to`, rung);
  if (mount.noexec) refuse(cannot.noexec, mount.device, `${part} with noexec`, rung);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
