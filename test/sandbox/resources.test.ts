// Memory and processors as files of cgroups, and where those are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idleUnified, parseHierarchies } from '../../src/sandbox/cgroups.ts';
import { cgroupValues, parseCpuList, type StepResources } from '../../src/sandbox/resources.ts';

const files = (resources: StepResources, version: 1 | 2) =>
  Object.fromEntries(cgroupValues(resources, version).map(({ file, value }) => [file, value]));

test('memory has as much swap again unless another sum was asked for', () => {
  assert.deepEqual(files({ memory: 100 }, 1), {
    'memory.limit_in_bytes': '100',
    'memory.memsw.limit_in_bytes': '200',
  });
  assert.deepEqual(files({ memory: 100 }, 2), { 'memory.max': '100', 'memory.swap.max': '100' });
  assert.deepEqual(files({ memory: 100, memorySwap: 100 }, 2), {
    'memory.max': '100',
    'memory.swap.max': '0',
  });
  assert.deepEqual(files({ memory: 100, memorySwap: 'unlimited' }, 2), {
    'memory.max': '100',
    'memory.swap.max': 'max',
  });
  assert.equal(files({ memory: 100, memorySwap: 'unlimited' }, 1)['memory.memsw.limit_in_bytes'], '-1');
});

test('a sum of memory and swap that was asked for must be kept, the usual one need not', () => {
  const optional = (resources: StepResources) =>
    cgroupValues(resources, 2).find(({ file }) => file === 'memory.swap.max')?.optional;
  assert.equal(optional({ memory: 100 }), true);
  assert.equal(optional({ memory: 100, memorySwap: 150 }), false);
});

test('quota and period are two files in version 1 and one in version 2, shares become weights', () => {
  const resources = { cpuQuota: 5000, cpuPeriod: 10_000, cpuShares: 1024 };
  assert.deepEqual(files(resources, 1), {
    'cpu.cfs_period_us': '10000',
    'cpu.cfs_quota_us': '5000',
    'cpu.shares': '1024',
  });
  assert.deepEqual(files(resources, 2), { 'cpu.max': '5000 10000', 'cpu.weight': '39' });
  assert.deepEqual(files({ cpuQuota: 5000 }, 2), { 'cpu.max': '5000 100000' });
  assert.deepEqual(files({ cpuPeriod: 5000 }, 2), { 'cpu.max': 'max 5000' });
  assert.equal(files({ cpuShares: 2 }, 2)['cpu.weight'], '1');
  assert.equal(files({ cpuShares: 262_144 }, 2)['cpu.weight'], '10000');
});

test('lists of processors are read', () => {
  assert.deepEqual([...(parseCpuList('0-2,7\n') ?? [])], [0, 1, 2, 7]);
  assert.deepEqual([...(parseCpuList('') ?? [1])], []);
  for (const text of ['x', '1-', '2-1', '0,,1', '-1']) assert.equal(parseCpuList(text), undefined, text);
});

test('hierarchies of both versions are found with the place of this process, each once', () => {
  const mounts = [
    '25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755',
    '26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct',
    '27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '28 25 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
    '29 25 0:24 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory',
  ].join('\n');
  const membership = '4:memory:/a/b\n3:cpu,cpuacct:/\n0::/c\n';
  assert.deepEqual(
    parseHierarchies(mounts, membership, () => 'pids hugetlb\n'),
    [
      {
        ...{ version: 1, controllers: ['cpu', 'cpuacct'] },
        ...{ top: '/sys/fs/cgroup/cpu,cpuacct', own: '/sys/fs/cgroup/cpu,cpuacct' },
      },
      { version: 1, controllers: ['memory'], top: '/sys/fs/cgroup/memory', own: '/sys/fs/cgroup/memory/a/b' },
      {
        ...{ version: 2, controllers: ['pids', 'hugetlb'] },
        ...{ top: '/sys/fs/cgroup/unified', own: '/sys/fs/cgroup/unified/c' },
      },
    ],
  );
});

test('version 2 is idle beside version 1 when that has devices and everything that is limited', () => {
  const at = (version: 1 | 2, top: string, ...controllers: readonly string[]) =>
    ({ version, controllers, top, own: top }) as const;
  const older = [at(1, '/cg/cpu', 'cpu', 'cpuacct'), at(1, '/cg/devices', 'devices')];
  assert.equal(idleUnified([...older, at(2, '/cg/unified', 'hugetlb')]), '/cg/unified');
  assert.equal(idleUnified([...older, at(2, '/cg/unified', 'hugetlb', 'memory')]), undefined);
  assert.equal(idleUnified([at(1, '/cg/cpu', 'cpu'), at(2, '/cg/unified', 'hugetlb')]), undefined);
  assert.equal(idleUnified([at(2, '/cg', 'cpu', 'memory')]), undefined);
  assert.equal(idleUnified(older), undefined);
});

test('a container sees a part of a hierarchy, and may be outside of it', () => {
  const at = (root: string, path: string) =>
    parseHierarchies(`9 1 0:24 ${root} /cg rw - cgroup2 cgroup2 rw`, `0::${path}\n`, () => 'memory')[0]?.own;
  assert.equal(at('/docker/x', '/docker/x/y'), '/cg/y');
  assert.equal(at('/docker/x', '/docker/x'), '/cg');
  assert.equal(at('/docker/x', '/docker/xy'), '/cg');
  assert.equal(at('/', '/../other'), '/cg');
});
