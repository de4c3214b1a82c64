// Flags of `slipway build` about memory and processors of RUN.
import { type Command, Option } from 'commander';
import { didYouMean } from '../../dockerfile/suggest.ts';
import { BuildError, printable } from '../../errors.ts';
import { parseCpuList, type StepResources } from '../../sandbox/resources.ts';
import { repeated } from './repeated.ts';
import { parseSize } from './size.ts';

export interface ResourceFlags {
  readonly memory?: string;
  readonly memorySwap?: string;
  readonly cpus?: string;
  readonly cpuQuota?: string;
  readonly cpuPeriod?: string;
  readonly cpuShares?: string;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly cgroupParent?: string;
  readonly resource: readonly string[];
}

/** Keys of --resource, and the flags that they are. */
const resourceKeys = {
  memory: 'memory',
  'memory-swap': 'memorySwap',
  'cpu-shares': 'cpuShares',
  'cpu-period': 'cpuPeriod',
  'cpu-quota': 'cpuQuota',
  'cpuset-cpus': 'cpusetCpus',
  'cpuset-mems': 'cpusetMems',
} as const;

/** Below that, nothing starts. */
const leastMemory = 6 << 20;
const usualPeriod = 100_000;

export function addResourceOptions(command: Command): Command {
  return command
    .addOption(new Option('-m, --memory <bytes>', 'memory that a RUN may use: 512m, 2g'))
    .addOption(
      new Option(
        '--memory-swap <bytes>',
        'memory and swap together; -1 is unlimited (default: twice --memory)',
      ),
    )
    .addOption(new Option('--cpus <number>', 'processors that a RUN may use: 1.5'))
    .addOption(new Option('--cpu-quota <microseconds>', 'processor time of a RUN in each --cpu-period'))
    .addOption(new Option('--cpu-period <microseconds>', 'length of the period (default: 100000)'))
    .addOption(new Option('--cpu-shares <weight>', 'weight of a RUN beside other processes; 1024 is usual'))
    .addOption(new Option('--cpuset-cpus <list>', 'processors that a RUN may run on: 0-2,7'))
    .addOption(new Option('--cpuset-mems <list>', 'memory nodes that a RUN may use: 0,1'))
    .addOption(new Option('--cgroup-parent <path>', 'cgroup that those of RUN are made in; it must be there'))
    .addOption(
      repeated(
        '--resource <key=value>',
        `the same as docker writes it: ${Object.keys(resourceKeys).join(', ')}; several with commas`,
      ),
    );
}

/** @throws BuildError `usage` */
export function resourcesOf(given: ResourceFlags): StepResources {
  const flags = { ...given, ...byKeys(given) };
  return { ...memory(flags), ...processors(flags), ...sets(flags), ...parent(flags) };
}

/** What --resource says, as if its flags had been given. */
function byKeys({ resource, ...flags }: ResourceFlags): Partial<ResourceFlags> {
  const values: Record<string, string> = {};
  // A list of processors has commas, too.
  for (const text of resource.flatMap(each => each.split(/,(?=[a-z-]+=)/))) {
    const at = text.indexOf('=');
    const key = text.slice(0, at);
    const keys = Object.keys(resourceKeys);
    const known = `keys: ${keys.join(', ')}`;
    if (at < 1) throw usage(`--resource ${text === '' ? '""' : printable(text)} is not key=value`, known);
    if (!isResourceKey(key)) {
      throw usage(`--resource has no key ${printable(key)}`, didYouMean(key, keys) ?? known);
    }
    const name = resourceKeys[key];
    if (flags[name] !== undefined || values[name] !== undefined) throw usage(`${key} is given twice`);
    values[name] = text.slice(at + 1);
  }
  return values;
}

function isResourceKey(key: string): key is keyof typeof resourceKeys {
  return Object.hasOwn(resourceKeys, key);
}

function memory({ memory: text, memorySwap }: ResourceFlags): StepResources {
  if (text === undefined) {
    if (memorySwap === undefined) return {};
    throw usage('--memory-swap needs --memory', 'it is the sum of memory and swap');
  }
  const bytes = parseSize(text, '--memory');
  if (bytes < leastMemory) throw usage(`--memory ${printable(text)} is too little`, 'give 6m or more');
  if (memorySwap === undefined) return { memory: bytes };
  if (memorySwap === '-1') return { memory: bytes, memorySwap: 'unlimited' };
  const swap = parseSize(memorySwap, '--memory-swap');
  if (swap >= bytes) return { memory: bytes, memorySwap: swap };
  throw usage(
    `--memory-swap ${printable(memorySwap)} is less than --memory ${printable(text)}`,
    'it is the sum of memory and swap',
  );
}

function processors(flags: ResourceFlags): StepResources {
  const { cpus, cpuShares } = flags;
  const shares = cpuShares === undefined ? {} : { cpuShares: whole(cpuShares, '--cpu-shares', 2, 262_144) };
  if (cpus === undefined) return { ...shares, ...quota(flags) };
  if (flags.cpuQuota !== undefined || flags.cpuPeriod !== undefined) {
    throw usage('--cpus does not go with --cpu-quota or --cpu-period', '--cpus sets both');
  }
  const number = /^\d{1,5}(\.\d{1,9})?$/.test(cpus) ? Number(cpus) : 0;
  if (number < 0.01) throw usage(`--cpus ${printable(cpus)} is not a number of processors`, 'write 0.5 or 2');
  return { ...shares, cpuQuota: Math.round(number * usualPeriod), cpuPeriod: usualPeriod };
}

function quota({ cpuQuota, cpuPeriod }: ResourceFlags): StepResources {
  return {
    // Without a limit, as it is when nothing is said.
    ...(cpuQuota === undefined || cpuQuota === '-1'
      ? {}
      : { cpuQuota: whole(cpuQuota, '--cpu-quota', 1000, 10 ** 12) }),
    ...(cpuPeriod === undefined ? {} : { cpuPeriod: whole(cpuPeriod, '--cpu-period', 1000, 1_000_000) }),
  };
}

function sets({ cpusetCpus, cpusetMems }: ResourceFlags): StepResources {
  return {
    ...(cpusetCpus === undefined ? {} : { cpusetCpus: numbers(cpusetCpus, '--cpuset-cpus') }),
    ...(cpusetMems === undefined ? {} : { cpusetMems: numbers(cpusetMems, '--cpuset-mems') }),
  };
}

function parent({ cgroupParent }: ResourceFlags): StepResources {
  if (cgroupParent === undefined) return {};
  const words = cgroupParent.split('/').filter(Boolean);
  if (words.length > 0 && !words.includes('..') && !words.includes('.') && !cgroupParent.includes('\0'))
    return { cgroupParent };
  throw usage(`--cgroup-parent ${printable(cgroupParent)} is not the path of a cgroup`, 'write /builds');
}

function whole(text: string, flag: string, least: number, most: number): number {
  const number = /^\d{1,13}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw usage(`${flag} ${printable(text)} is not a whole number from ${least} to ${most}`);
}

function numbers(text: string, flag: string): string {
  if ((parseCpuList(text)?.size ?? 0) > 0) return text;
  throw usage(`${flag} ${printable(text)} is not a list of numbers`, 'write 0-2,7');
}

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}
