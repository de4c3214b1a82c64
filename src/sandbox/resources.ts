// What a step may use of memory and processors, as files of a cgroup (docs.kernel.org/admin-guide/cgroup-v1,
// cgroup-v2.html). Pure.

/** By the names of the flags. */
export interface StepResources {
  /** Bytes. */
  readonly memory?: number;
  /** Bytes of memory and swap together. Absent: twice the memory, where the kernel counts swap. */
  readonly memorySwap?: number | 'unlimited';
  /** Microseconds of processor time in a period, of all processors together. */
  readonly cpuQuota?: number;
  /** Microseconds; the kernel's default is 100,000. */
  readonly cpuPeriod?: number;
  /** Weight beside others, 1024 is usual. */
  readonly cpuShares?: number;
  /** Processors and memory nodes, as `0-2,7`. */
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** Cgroup below which each step gets one of its own; with '/' at the start from the top, else from slipway's own. */
  readonly cgroupParent?: string;
}

export type Controller = 'memory' | 'cpu' | 'cpuset';

/** A file to be written. */
export interface CgroupValue {
  readonly controller: Controller;
  readonly file: string;
  readonly value: string;
  /** Who asked for it, for messages. */
  readonly flag: string;
  /** The kernel may lack it. */
  readonly optional?: boolean;
}

const usualPeriod = 100_000;

/** Files of a hierarchy of version 1 or 2, in the order in which they are to be written. */
export function cgroupValues(resources: StepResources, version: 1 | 2): readonly CgroupValue[] {
  const common = cpuset(resources);
  return version === 1
    ? [...common, ...memory1(resources), ...cpu1(resources)]
    : [...common, ...memory2(resources), ...cpu2(resources)];
}

function cpuset({ cpusetCpus, cpusetMems }: StepResources): readonly CgroupValue[] {
  const value = (name: string, text: string | undefined): readonly CgroupValue[] =>
    text === undefined
      ? []
      : [{ controller: 'cpuset', file: `cpuset.${name}`, value: text, flag: `--cpuset-${name}` }];
  return [...value('mems', cpusetMems), ...value('cpus', cpusetCpus)];
}

function swapOf({ memory, memorySwap }: StepResources): number | 'unlimited' | undefined {
  return memorySwap ?? (memory === undefined ? undefined : memory * 2);
}

function memory1(resources: StepResources): readonly CgroupValue[] {
  const { memory, memorySwap } = resources;
  if (memory === undefined) return [];
  const swap = swapOf(resources);
  const file = 'memory.memsw.limit_in_bytes';
  return [
    { controller: 'memory', file: 'memory.limit_in_bytes', value: String(memory), flag: '--memory' },
    {
      ...{ controller: 'memory', file, flag: '--memory-swap' },
      value: swap === 'unlimited' ? '-1' : String(swap),
      optional: memorySwap === undefined || memorySwap === 'unlimited',
    },
  ];
}

function memory2(resources: StepResources): readonly CgroupValue[] {
  const { memory, memorySwap } = resources;
  if (memory === undefined) return [];
  const swap = swapOf(resources);
  return [
    { controller: 'memory', file: 'memory.max', value: String(memory), flag: '--memory' },
    {
      ...{ controller: 'memory', file: 'memory.swap.max', flag: '--memory-swap' },
      value: swap === 'unlimited' || swap === undefined ? 'max' : String(swap - memory),
      optional: memorySwap === undefined || memorySwap === 'unlimited',
    },
  ];
}

function cpu1({ cpuQuota, cpuPeriod, cpuShares }: StepResources): readonly CgroupValue[] {
  const value = (file: string, number: number | undefined, flag: string): readonly CgroupValue[] =>
    number === undefined ? [] : [{ controller: 'cpu', file, value: String(number), flag }];
  return [
    ...value('cpu.cfs_period_us', cpuPeriod, '--cpu-period'),
    ...value('cpu.cfs_quota_us', cpuQuota, '--cpu-quota'),
    ...value('cpu.shares', cpuShares, '--cpu-shares'),
  ];
}

function cpu2({ cpuQuota, cpuPeriod, cpuShares }: StepResources): readonly CgroupValue[] {
  const limit: readonly CgroupValue[] =
    cpuQuota === undefined && cpuPeriod === undefined
      ? []
      : [
          {
            ...{
              controller: 'cpu',
              file: 'cpu.max',
              flag: cpuQuota === undefined ? '--cpu-period' : '--cpu-quota',
            },
            value: `${cpuQuota ?? 'max'} ${cpuPeriod ?? usualPeriod}`,
          },
        ];
  // Shares are 2 to 262144, weights 1 to 10000.
  const weight = (shares: number) => String(1 + Math.floor(((shares - 2) * 9999) / 262_142));
  if (cpuShares === undefined) return limit;
  return [
    ...limit,
    { controller: 'cpu', file: 'cpu.weight', value: weight(cpuShares), flag: '--cpu-shares' },
  ];
}

/** The numbers of `0-2,7`; undefined for what is no such list. */
export function parseCpuList(text: string): ReadonlySet<number> | undefined {
  const numbers = new Set<number>();
  for (const part of text.trim() === '' ? [] : text.trim().split(',')) {
    const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (first === undefined) return undefined;
    for (let number = Number(first); number <= Number(last ?? first); number++) numbers.add(number);
    if (last !== undefined && Number(last) < Number(first)) return undefined;
  }
  return numbers;
}
