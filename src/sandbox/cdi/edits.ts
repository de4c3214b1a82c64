// What several devices change about a step, put together. Pure.
import { BuildError } from '../../errors.ts';
import type { CdiDevice, DeviceEdits, DeviceHook, DeviceMount, DeviceNode } from './specification.ts';

/** Whose it is, for messages. */
interface OfDevice {
  readonly device: string;
}

/** Everything that a step is given with its devices. */
export interface GivenDevices {
  /** `vendor.com/class=name`, each once. */
  readonly names: readonly string[];
  /** `NAME=value`; of two with one name the later counts. */
  readonly env: readonly string[];
  /** One for each path inside. */
  readonly nodes: readonly (DeviceNode & OfDevice)[];
  /** One for each place inside. */
  readonly mounts: readonly (DeviceMount & OfDevice)[];
  readonly hooks: readonly (DeviceHook & OfDevice)[];
  readonly groups: readonly (OfDevice & { readonly id: number })[];
}

/** @throws BuildError `unsupported` for a device that changes what slipway cannot */
export function givenDevices(devices: readonly CdiDevice[]): GivenDevices {
  const unique = [...new Map(devices.map(device => [device.name, device])).values()];
  const files = new Set<string>();
  const all = unique.flatMap(({ name, file, common, edits }) => {
    const isNew = !files.has(file);
    files.add(file);
    return [...(isNew ? [common] : []), edits].map(each => ({ device: name, edits: each }));
  });
  for (const { device, edits } of all) refuseOthers(device, edits);
  const list = <T extends object>(of: (edits: DeviceEdits) => readonly T[]) =>
    all.flatMap(({ device, edits }) => of(edits).map(each => ({ ...each, device })));
  return {
    names: unique.map(({ name }) => name),
    env: all.flatMap(({ edits }) => edits.env),
    nodes: lastOf(
      list(({ nodes }) => nodes),
      ({ path }) => path,
    ),
    mounts: lastOf(
      list(({ mounts }) => mounts),
      ({ target }) => target,
    ),
    hooks: list(({ hooks }) => hooks),
    groups: list(({ groups }) => groups.map(id => ({ id }))),
  };
}

function lastOf<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...new Map(items.map(item => [key(item), item])).values()];
}

function refuseOthers(device: string, { others }: DeviceEdits): void {
  const [first] = others;
  if (first === undefined) return;
  throw new BuildError('unsupported', `the device ${device} cannot be given: it has ${first}`, {
    hint: 'slipway gives device files, mounts, variables, groups and hooks',
  });
}
