// Devices of this machine that a step is given: found before anything is executed, shown as what they are.
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, printable } from '../errors.ts';

/** `--device`: a device file, or a directory of them. */
export interface StepDevice {
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  /** What may be done: letters of `rwm` (read, write, make). */
  readonly access: string;
}

/** What may be done with a device. */
export interface DeviceRule {
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Letters of `rwm`. */
  readonly access: string;
}

/** A device file that is there. */
export type FoundDevice = StepDevice & DeviceRule;

/**
 * All device files that were asked for.
 * @throws BuildError `usage` for what is no device, or a directory without any
 */
export function findDevices(devices: readonly StepDevice[] = []): readonly FoundDevice[] {
  return devices.flatMap(device => {
    const stat = statSync(device.source, { throwIfNoEntry: false });
    const shown = printable(device.source);
    if (stat === undefined) throw new BuildError('usage', `--device ${shown} does not exist`);
    const found = stat.isDirectory() ? inDirectory(device) : inFile(device);
    if (found.length > 0) return found;
    throw new BuildError('usage', `--device ${shown} is no device`, {
      hint: 'files and directories are given to RUN with --volume',
    });
  });
}

function inDirectory(device: StepDevice): readonly FoundDevice[] {
  return readdirSync(device.source)
    .sort()
    .flatMap(name => {
      const inside = { ...device, source: join(device.source, name), target: join(device.target, name) };
      return statSync(inside.source, { throwIfNoEntry: false })?.isDirectory()
        ? inDirectory(inside)
        : inFile(inside);
    });
}

function inFile(device: StepDevice): readonly FoundDevice[] {
  const stat = statSync(device.source, { throwIfNoEntry: false, bigint: true });
  if (stat === undefined || !(stat.isCharacterDevice() || stat.isBlockDevice())) return [];
  const type = stat.isBlockDevice() ? 'b' : 'c';
  return [{ ...device, source: realpathSync(device.source), type, ...deviceNumbers(stat.rdev) }];
}

/** makedev(3) backwards. */
export function deviceNumbers(rdev: bigint): { readonly major: number; readonly minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return { major: Number(major), minor: Number(minor) };
}
