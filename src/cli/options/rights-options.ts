// Flags of `slipway build` about what RUN may do and see: capabilities, filters, devices, volumes.
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command, Option } from 'commander';
import { parseBoolean } from '../../dockerfile/directives.ts';
import { suggest } from '../../dockerfile/suggest.ts';
import { BuildError, messageOf, printable } from '../../errors.ts';
import { readOr } from '../../host/probe.ts';
import type { CapabilityChange, CapabilityWord } from '../../sandbox/capabilities.ts';
import { defaultSpecDirs } from '../../sandbox/cdi/names.ts';
import { capabilityNames } from '../../sandbox/defaults.ts';
import type { StepDevice } from '../../sandbox/devices.ts';
import { securityModules } from '../../sandbox/machine.ts';
import type { StepSettings, StepVolume } from '../../sandbox/sandbox.ts';
import { readDockerProfile } from '../../sandbox/seccomp/docker-profile.ts';
import { isDeviceName } from './entitlements.ts';
import { repeated } from './repeated.ts';

export interface RightsFlags {
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly securityOpt: readonly string[];
  readonly device: readonly string[];
  readonly cdiSpecDir: readonly string[];
  readonly volume: readonly string[];
}

export function addRightsOptions(command: Command): Command {
  return command
    .addOption(
      repeated('--cap-add <name>', 'capability that RUN gets besides the usual ones; ALL: every one'),
    )
    .addOption(
      repeated('--cap-drop <name>', 'capability that RUN does not get; ALL: none but those of --cap-add'),
    )
    .addOption(
      repeated(
        '--security-opt <option>',
        'seccomp=unconfined, seccomp=FILE (a profile as docker reads it) or no-new-privileges, for RUN',
      ),
    )
    .addOption(
      repeated(
        '--device <host[:inside[:rwm]]>',
        'device file, directory of them, or vendor.com/class=name of a CDI device, that RUN may use',
      ),
    )
    .addOption(cdiSpecDirOption())
    .addOption(
      repeated(
        '-v, --volume <host:inside[:options]>',
        'directory or file that every RUN sees and no layer holds; options: ro, rw, O, U',
      ),
    );
}

export function cdiSpecDirOption(): Option {
  return repeated(
    '--cdi-spec-dir <directory>',
    `where CDI devices are described, in place of ${defaultSpecDirs.join(', ')}`,
  );
}

/** @throws BuildError `usage`, `unsupported` */
export function rightsOf(flags: RightsFlags, cwd: string): StepSettings {
  const capabilities = changeOf(flags);
  const files = flags.device.filter(text => !isDeviceName(text));
  return {
    ...(capabilities === undefined ? {} : { capabilities }),
    ...securityOf(flags.securityOpt, cwd),
    ...(files.length === 0 ? {} : { devices: files.map(parseDevice) }),
    ...(flags.volume.length === 0 ? {} : { volumes: volumesOf(flags.volume, cwd) }),
  };
}

function changeOf({ capAdd, capDrop }: RightsFlags): CapabilityChange | undefined {
  const words = (list: readonly string[], flag: string) =>
    list.flatMap(text => text.split(',')).map(text => parseCapability(text, flag));
  const add = words(capAdd, '--cap-add');
  const drop = words(capDrop, '--cap-drop');
  const both = add.find(name => drop.includes(name));
  if (both !== undefined) throw usage(`${both} is in --cap-add and in --cap-drop`, 'give it once');
  return add.length + drop.length === 0 ? undefined : { add, drop };
}

function parseCapability(text: string, flag: string): CapabilityWord {
  const name = text.trim().toUpperCase().replace(/^CAP_/, '');
  if (name === 'ALL') return name;
  const known = capabilityNames.find(each => each === name);
  if (known !== undefined) return known;
  const near = suggest(name, capabilityNames);
  throw usage(
    `${flag}: there is no capability ${printable(text)}`,
    near === undefined ? 'capabilities(7) lists them, such as NET_ADMIN' : `did you mean ${near}?`,
  );
}

const securityOptions =
  'seccomp=unconfined, seccomp=FILE, no-new-privileges, label=disable, apparmor=unconfined';

/** Docker also takes ':' for '='. */
function securityOf(options: readonly string[], cwd: string): StepSettings {
  return Object.assign(
    {},
    ...options.map(text => {
      const [, name = text, value] = /^([^=:]*)[=:](.*)$/s.exec(text) ?? [];
      switch (name) {
        case 'seccomp':
          return seccompOf(value ?? '', cwd);
        case 'no-new-privileges':
          return { noNewPrivileges: parseSwitch(value, text) };
        case 'label':
          return labelOf(value ?? '');
        case 'apparmor':
          return appArmorOf(value ?? '');
        default:
          throw usage(`--security-opt ${printable(text)} is not known`, `known: ${securityOptions}`);
      }
    }),
  );
}

function seccompOf(value: string, cwd: string): StepSettings {
  if (value === 'unconfined') return { seccomp: value };
  if (value === 'builtin') return {};
  if (value === '') throw usage('--security-opt seccomp= has no value', `known: ${securityOptions}`);
  let text: string;
  try {
    text = readFileSync(resolve(cwd, value), 'utf8');
  } catch (cause) {
    throw usage(`--security-opt seccomp=${printable(value)} cannot be read: ${messageOf(cause)}`);
  }
  return { seccomp: readDockerProfile(text, value) };
}

function parseSwitch(value: string | undefined, text: string): boolean {
  const parsed = value === undefined ? true : parseBoolean(value);
  if (parsed !== undefined) return parsed;
  throw usage(`--security-opt ${printable(text)} is neither true nor false`);
}

/** Steps get no labels here, whatever the machine does. */
function labelOf(value: string): StepSettings {
  if (value === 'disable') return {};
  const why = securityModules().selinux ? 'labels are not given to steps' : 'this machine has no SELinux';
  throw unsupported(
    `--security-opt label=${printable(value)} cannot be kept: ${why}`,
    'label=disable is what happens',
  );
}

/** A step has the profile that slipway has. */
function appArmorOf(value: string): StepSettings {
  const hint = 'apparmor=unconfined is what happens where slipway is not confined itself';
  if (!securityModules().appArmor) {
    if (value === 'unconfined') return {};
    throw unsupported(
      `--security-opt apparmor=${printable(value)} cannot be kept: this machine has no AppArmor`,
      hint,
    );
  }
  const own = readOr('/proc/self/attr/current', 'unconfined').replace(/\0.*$/s, '').trim();
  if (own.replace(/ \(\w+\)$/, '') === value) return {};
  throw unsupported(
    `--security-opt apparmor=${printable(value)} cannot be kept: a step has the profile of slipway, ${printable(own)}`,
    hint,
  );
}

function parseDevice(text: string): StepDevice {
  const [source = '', ...rest] = text.split(':');
  const access = rest.length > 0 && isAccess(rest.at(-1)) ? rest.pop() : undefined;
  const [target = source, ...more] = rest;
  const shown = printable(text);
  if (!source.startsWith('/')) {
    throw usage(
      `--device ${shown} is not the path of a device`,
      'write --device /dev/fuse, or vendor.com/class=name for a device of the Container Device Interface',
    );
  }
  if (more.length > 0 || !target.startsWith('/')) {
    throw usage(
      `--device ${shown} is not host[:inside[:access]]`,
      'access is made of the letters r, w and m',
    );
  }
  return { source, target: placeInside(target, '--device', shown), access: access ?? 'rwm' };
}

function isAccess(word: string | undefined): boolean {
  return word !== undefined && /^[rwm]{1,3}$/.test(word) && new Set(word).size === word.length;
}

function volumesOf(texts: readonly string[], cwd: string): readonly StepVolume[] {
  const volumes = texts.map(text => parseVolume(text, cwd));
  const twice = volumes.find(({ target }, i) => volumes.findIndex(each => each.target === target) < i);
  if (twice !== undefined) throw usage(`two --volume are for ${printable(twice.target)}`);
  return volumes;
}

function parseVolume(text: string, cwd: string): StepVolume {
  const shown = printable(text);
  const [given = '', target = '', words = '', ...more] = text.split(':');
  if (more.length > 0 || given === '' || !target.startsWith('/')) {
    throw usage(`--volume ${shown} is not host:inside[:options]`, 'write --volume "$PWD/cache:/cache:ro"');
  }
  if (!/^[./]/.test(given)) {
    throw usage(
      `--volume ${shown}: ${printable(given)} is no path`,
      `write ./${printable(given)} for a directory here`,
    );
  }
  let source: string;
  try {
    source = realpathSync(resolve(cwd, given));
  } catch {
    throw usage(`--volume ${shown}: ${printable(given)} does not exist`);
  }
  const options = words === '' ? [] : words.split(',');
  for (const option of options) checkVolumeOption(option, shown);
  const [readonly, overlay] = [options.includes('ro'), options.includes('O')];
  if (readonly && options.includes('rw')) throw usage(`--volume ${shown} is both ro and rw`);
  const stat = statSync(source);
  if (!stat.isDirectory() && !stat.isFile()) throw usage(`--volume ${shown} is neither directory nor file`);
  if (overlay && (readonly || !stat.isDirectory())) {
    throw usage(`--volume ${shown}: O is for directories that are written to`);
  }
  return {
    source,
    target: placeInside(target, '--volume', shown),
    access: overlay ? 'overlay' : readonly ? 'ro' : 'rw',
    chown: options.includes('U'),
  };
}

/** What every mount is anyway. */
const usualOptions = ['rw', 'ro', 'O', 'U', 'rbind', 'private', 'rprivate', 'nosuid', 'nodev', 'exec'];

function checkVolumeOption(option: string, shown: string): void {
  if (usualOptions.includes(option)) return;
  if (option === 'z' || option === 'Z') {
    if (!securityModules().selinux) return;
    throw unsupported(`--volume ${shown}: ${option} cannot be kept: SELinux labels are not changed here`);
  }
  throw unsupported(
    `--volume ${shown}: the option ${printable(option)} is not supported`,
    `supported: ${usualOptions.join(', ')}, and z and Z where there is no SELinux`,
  );
}

/** @throws BuildError `usage` for a place that steps have something else at */
function placeInside(path: string, flag: string, shown: string): string {
  const place = resolve('/', path);
  if (!/^\/$|^\/dev$|^\/(?:proc|sys)(?:\/|$)/.test(place)) return place;
  throw usage(`${flag} ${shown}: nothing can be put at ${printable(place)}`);
}

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}

function unsupported(message: string, hint?: string): BuildError {
  return new BuildError('unsupported', message, hint === undefined ? {} : { hint });
}
