// Flags of `slipway build` about what RUN gets: limits, names of hosts, and by way of other files memory and rights.
import { type Command, Option } from 'commander';
import type { BuildRequest } from '../../build/request.ts';
import { BuildError, printable } from '../../errors.ts';
import { type LimitName, limitNames, type StepLimit } from '../../sandbox/limits.ts';
import { repeated } from './repeated.ts';
import { addResourceOptions, type ResourceFlags, resourcesOf } from './resource-options.ts';
import { addRightsOptions, type RightsFlags, rightsOf } from './rights-options.ts';
import { parseSize } from './size.ts';

export interface RunFlags extends ResourceFlags, RightsFlags {
  readonly shmSize?: string;
  readonly ulimit: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOption: readonly string[];
}

export function addRunOptions(command: Command): Command {
  return addRightsOptions(addResourceOptions(addLimitOptions(command)));
}

function addLimitOptions(command: Command): Command {
  return command
    .addOption(new Option('--shm-size <bytes>', 'size of /dev/shm during RUN: 64m, 1g (default: 64m)'))
    .addOption(repeated('--ulimit <name=soft[:hard]>', 'limit of a resource during RUN; -1 is unlimited'))
    .addOption(repeated('--dns <ip>', 'name server for RUN instead of those of this machine'))
    .addOption(repeated('--dns-search <domain>', 'search domain for RUN instead of those of this machine'))
    .addOption(repeated('--dns-option <option>', 'resolver option for RUN instead of those of this machine'));
}

/** @throws BuildError `usage` */
export function runSettings(flags: RunFlags, cwd: string): NonNullable<BuildRequest['run']> {
  const shm = flags.shmSize === undefined ? {} : { shmSize: parseSize(flags.shmSize, '--shm-size') };
  for (const server of flags.dns) {
    if (!/^[0-9A-Fa-f.:]+$/.test(server)) throw usage(`--dns ${printable(server)} is not an IP address`);
  }
  for (const word of [...flags.dnsSearch, ...flags.dnsOption]) {
    if (!/^[\w.:-]+$/.test(word)) throw usage(`${printable(word)} cannot stand in resolv.conf`);
  }
  const resources = resourcesOf(flags);
  return {
    ...shm,
    ...rightsOf(flags, cwd),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    limits: flags.ulimit.map(parseLimit),
    dns: { servers: flags.dns, searches: flags.dnsSearch, options: flags.dnsOption },
  };
}

function parseLimit(text: string): StepLimit {
  const [, name, soft, hard] = /^([a-z]+)=(-1|\d{1,15})(?::(-1|\d{1,15}))?$/.exec(text) ?? [];
  if (name === undefined || soft === undefined) {
    throw usage(`--ulimit ${printable(text)} is not name=soft[:hard]`, 'write --ulimit nofile=1024:2048');
  }
  if (!isLimitName(name)) throw usage(`--ulimit: unknown limit "${name}"`, `known: ${limitNames.join(', ')}`);
  const value = (digits: string) => (digits === '-1' ? undefined : Number(digits));
  const limit = { name, soft: value(soft), hard: value(hard ?? soft) };
  if ((limit.soft ?? Number.POSITIVE_INFINITY) > (limit.hard ?? Number.POSITIVE_INFINITY)) {
    throw usage(`--ulimit ${printable(text)}: the soft limit is above the hard one`);
  }
  return limit;
}

function isLimitName(name: string): name is LimitName {
  return (limitNames as readonly string[]).includes(name);
}

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}
