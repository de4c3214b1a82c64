// --allow, and the flags about devices that have names (Container Device Interface).
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BuildRequest, DeviceAllowance } from '../../build/request.ts';
import { csvFields } from '../../dockerfile/csv.ts';
import { BuildError, printable } from '../../errors.ts';
import { deleteEntitlement } from '../../export/destination.ts';
import { parseDeviceName } from '../../sandbox/cdi/names.ts';

/** As docker's --allow: `network.host`, `security.insecure`, `buildx.local.delete`, `device[=name[,alias=word]]`. @throws BuildError `usage` */
export function entitlements(texts: readonly string[]): Pick<BuildRequest, 'allow' | 'allowDevices'> {
  const devices = texts.filter(text => /^device(?:=|$)/.test(text)).map(text => deviceOf(text));
  const others = texts.filter(text => !/^device(?:=|$)/.test(text));
  const known = ['network.host', 'security.insecure', deleteEntitlement, 'device', 'device=NAME'];
  for (const name of others) {
    if (known.slice(0, 3).includes(name)) continue;
    throw usage(`--allow ${printable(name)} is not an entitlement`, `known: ${known.join(', ')}`);
  }
  const names = devices.flatMap(device => device ?? []);
  if (devices.length === 0) return { allow: new Set(others) };
  return { allow: new Set(others), allowDevices: { all: names.length < devices.length, names } };
}

/** @returns undefined for every device */
function deviceOf(text: string): DeviceAllowance['names'][number] | undefined {
  if (text === 'device') return undefined;
  const spec = text.slice('device='.length);
  // As `--allow device=$NAME` has it where the variable is not set: that is not every device.
  if (spec === '') {
    throw usage('--allow device= names no device', `${nameHint}; --allow device is for every device`);
  }
  const fields = csvFields(spec);
  const shown = `--allow ${printable(text)}`;
  if ('problem' in fields) throw usage(`${shown} cannot be read: ${fields.problem}`);
  const [first, ...more] = fields;
  const name = first?.value ?? '';
  if (parseDeviceName(name) === undefined) throw usage(`${shown}: ${noName(name)}`, nameHint);
  let alias: string | undefined;
  for (const { value } of more) {
    if (!/^alias=./.test(value)) {
      throw usage(`${shown}: unexpected ${printable(value)}`, 'write --allow device=NAME[,alias=WORD]');
    }
    alias = value.slice('alias='.length);
  }
  return alias === undefined ? { name } : { name, alias };
}

/** @throws BuildError `usage` */
export function cdiOf(
  flags: { readonly device: readonly string[]; readonly cdiSpecDir: readonly string[] },
  cwd: string,
): Pick<BuildRequest, 'cdiDevices' | 'cdiSpecDirs'> {
  const names = flags.device.filter(isDeviceName);
  const dirs = cdiDirsOf(flags.cdiSpecDir, cwd);
  return {
    ...(names.length === 0 ? {} : { cdiDevices: names }),
    ...(dirs.length === 0 ? {} : { cdiSpecDirs: dirs }),
  };
}

/** @throws BuildError `usage` */
export function cdiDirsOf(texts: readonly string[], cwd: string): readonly string[] {
  return texts.map(text => {
    const dir = resolve(cwd, text);
    if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return dir;
    throw usage(`--cdi-spec-dir ${printable(text)} is no directory`);
  });
}

/** Whether --device names a device, and not the path of a device file. */
export function isDeviceName(text: string): boolean {
  return (parseDeviceName(text)?.name ?? '') !== '';
}

function noName(text: string): string {
  return `${text === '' ? 'nothing' : printable(text)} is no name of a device`;
}

const nameHint = 'write vendor.com/class=name, vendor.com/class=* for all of a class, or vendor.com/class';

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}
