// Flags about what RUN may do, see and use.
import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type BuildFlags, buildDefaults } from '../../src/cli/options/build-options.ts';
import { makeBuildRequest } from '../../src/cli/options/build-request.ts';
import { runSettings } from '../../src/cli/options/run-options.ts';
import { BuildError } from '../../src/errors.ts';
import { securityModules } from '../../src/sandbox/machine.ts';
import { tempDir } from '../support/rootfs.ts';

const settings = (flags: Partial<BuildFlags>, cwd = '/') => runSettings({ ...buildDefaults, ...flags }, cwd);

function refused(flags: Partial<BuildFlags>, message: RegExp, hint = /(?:)/, cwd = '/'): void {
  assert.throws(
    () => settings(flags, cwd),
    (error: unknown) =>
      error instanceof BuildError &&
      ['usage', 'unsupported'].includes(error.code) &&
      message.test(error.message) &&
      hint.test(error.hint ?? ''),
    JSON.stringify(flags),
  );
}

test('capabilities are named with or without CAP_, in any case, several with commas', () => {
  assert.deepEqual(
    settings({ capAdd: ['cap_sys_admin', 'Net_Raw,CAP_CHOWN'], capDrop: ['all'] }).capabilities,
    {
      add: ['SYS_ADMIN', 'NET_RAW', 'CHOWN'],
      drop: ['ALL'],
    },
  );
  assert.equal(settings({}).capabilities, undefined);
  refused({ capAdd: ['sys_amin'] }, /--cap-add: there is no capability sys_amin/, /did you mean SYS_ADMIN\?/);
  refused({ capDrop: ['everything'] }, /--cap-drop: there is no capability/, /capabilities\(7\)/);
  refused({ capAdd: ['CHOWN'], capDrop: ['cap_chown'] }, /CHOWN is in --cap-add and in --cap-drop/);
});

test('security options are kept or refused, never passed over', () => {
  using temp = tempDir();
  writeFileSync(join(temp.path, 'p.json'), '{"defaultAction":"SCMP_ACT_ALLOW"}');
  assert.equal(settings({ securityOpt: ['seccomp:unconfined'] }).seccomp, 'unconfined');
  assert.equal(settings({ securityOpt: ['seccomp=builtin'] }).seccomp, undefined);
  assert.equal(typeof settings({ securityOpt: ['seccomp=p.json'] }, temp.path).seccomp, 'object');
  assert.equal(settings({ securityOpt: ['no-new-privileges'] }).noNewPrivileges, true);
  assert.equal(settings({ securityOpt: ['no-new-privileges=false'] }).noNewPrivileges, false);
  assert.deepEqual(settings({ securityOpt: ['label=disable'] }), settings({}));
  refused({ securityOpt: ['seccomp=nope.json'] }, /seccomp=nope\.json cannot be read/);
  refused({ securityOpt: ['seccomp='] }, /has no value/);
  refused({ securityOpt: ['no-new-privileges=perhaps'] }, /is neither true nor false/);
  refused({ securityOpt: ['label=type:x'] }, /label=type:x cannot be kept/);
  refused({ securityOpt: ['apparmor=no-such-profile'] }, /apparmor=no-such-profile cannot be kept/);
  refused({ securityOpt: ['unmask=ALL'] }, /unmask=ALL is not known/, /known: seccomp=/);
});

test('devices have a place inside and an access', () => {
  const device = (text: string) => settings({ device: [text] }).devices?.[0];
  assert.deepEqual(device('/dev/fuse'), { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm' });
  assert.deepEqual(device('/dev/a:r'), { source: '/dev/a', target: '/dev/a', access: 'r' });
  assert.deepEqual(device('/dev/a:/dev/b'), { source: '/dev/a', target: '/dev/b', access: 'rwm' });
  assert.deepEqual(device('/dev/a:/b/../c:wr'), { source: '/dev/a', target: '/c', access: 'wr' });
  assert.equal(device('vendor.com/gpu=all'), undefined);
  refused({ device: ['dev/fuse'] }, /is not the path of a device/, /Container Device Interface/);
  refused({ device: ['/dev/a:/dev/b:x'] }, /is not host\[:inside\[:access\]\]/);
  refused({ device: ['/dev/a:/dev/b:rr'] }, /is not host/);
  refused({ device: ['/dev/a:/proc/x'] }, /nothing can be put at \/proc\/x/);
});

test('volumes are directories or files of this machine, links resolved', () => {
  using temp = tempDir();
  const cwd = temp.path;
  mkdirSync(join(cwd, 'dir'));
  writeFileSync(join(cwd, 'file'), '');
  symlinkSync('dir', join(cwd, 'link'));
  const volume = (text: string) => settings({ volume: [text] }, cwd).volumes?.[0];
  const source = join(cwd, 'dir');
  assert.deepEqual(volume('./link:/in'), { source, target: '/in', access: 'rw', chown: false });
  assert.deepEqual(volume(`${source}:/in/:ro,rprivate`), {
    source,
    target: '/in',
    access: 'ro',
    chown: false,
  });
  assert.deepEqual(volume('./dir:/in:O,U'), { source, target: '/in', access: 'overlay', chown: true });
  for (const [text, message, hint] of [
    ['dir:/in', /dir is no path/, /write \.\/dir/],
    ['./dir', /is not host:inside/, undefined],
    ['./dir:in', /is not host:inside/, undefined],
    ['./nope:/in', /\.\/nope does not exist/, undefined],
    ['./dir:/in:ro,rw', /is both ro and rw/, undefined],
    ['./file:/in:O', /O is for directories/, undefined],
    ['./dir:/in:O,ro', /O is for directories that are written to/, undefined],
    ['./dir:/in:shared', /the option shared is not supported/, /supported: rw, ro/],
    ['./dir:/in:upperdir=/x', /the option upperdir=\/x is not supported/, undefined],
    ['./dir:/', /nothing can be put at \//, undefined],
    ['./dir:/a/../dev', /nothing can be put at \/dev/, undefined],
  ] as const) {
    refused({ volume: [text] }, message, hint, cwd);
  }
  refused({ volume: ['./dir:/in', './file:/in/'] }, /two --volume are for \/in/, undefined, cwd);
  if (securityModules().selinux) refused({ volume: ['./dir:/in:z'] }, /z cannot be kept/, undefined, cwd);
  else assert.equal(volume('./dir:/in:z,Z')?.access, 'rw');
});

test('memory and processors are numbers within bounds', () => {
  const resources = (flags: Partial<BuildFlags>) => settings(flags).resources;
  assert.equal(resources({}), undefined);
  assert.deepEqual(resources({ memory: '512m' }), { memory: 512 << 20 });
  assert.deepEqual(resources({ memory: '1g', memorySwap: '-1' }), {
    memory: 1 << 30,
    memorySwap: 'unlimited',
  });
  assert.deepEqual(resources({ cpus: '1.5' }), { cpuQuota: 150_000, cpuPeriod: 100_000 });
  assert.deepEqual(resources({ cpuQuota: '-1', cpuPeriod: '50000', cpuShares: '512' }), {
    ...{ cpuPeriod: 50_000, cpuShares: 512 },
  });
  assert.deepEqual(resources({ cpusetCpus: '0-1', cpusetMems: '0', cgroupParent: '/builds' }), {
    ...{ cpusetCpus: '0-1', cpusetMems: '0', cgroupParent: '/builds' },
  });
  assert.deepEqual(
    resources({
      resource: ['memory=1g,cpu-quota=50000', 'cpuset-cpus=0,1,memory-swap=-1', 'cpu-shares=512'],
      cpuPeriod: '20000',
    }),
    {
      ...{ memory: 1 << 30, memorySwap: 'unlimited', cpuShares: 512 },
      ...{ cpuQuota: 50_000, cpuPeriod: 20_000, cpusetCpus: '0,1' },
    },
  );
  refused({ resource: ['memoy=1g'] }, /--resource has no key memoy/, /did you mean memory\?/);
  refused({ resource: ['cpus=1'] }, /--resource has no key cpus/, /keys: memory, memory-swap/);
  refused({ resource: ['memory'] }, /--resource memory is not key=value/);
  refused({ resource: ['memory=1g'], memory: '1g' }, /memory is given twice/);
  refused({ resource: ['memory=1g', 'memory=2g'] }, /memory is given twice/);
  for (const [flags, message] of [
    [{ memory: 'much' }, /--memory much is not a size/],
    [{ memory: '5m' }, /--memory 5m is too little/],
    [{ memorySwap: '1g' }, /--memory-swap needs --memory/],
    [{ memory: '1g', memorySwap: '512m' }, /is less than --memory 1g/],
    [{ cpus: '0' }, /--cpus 0 is not a number of processors/],
    [{ cpus: '1e9' }, /--cpus 1e9 is not/],
    [{ cpus: '1', cpuQuota: '5000' }, /--cpus does not go with --cpu-quota/],
    [{ cpuQuota: '10' }, /--cpu-quota 10 is not a whole number from 1000/],
    [{ cpuPeriod: '2000000' }, /--cpu-period 2000000 is not a whole number from 1000 to 1000000/],
    [{ cpuShares: '1' }, /--cpu-shares 1 is not a whole number from 2/],
    [{ cpusetCpus: '1-0' }, /--cpuset-cpus 1-0 is not a list/],
    [{ cpusetMems: '' }, /--cpuset-mems {2}is not a list/],
    [{ cgroupParent: '/' }, /is not the path of a cgroup/],
    [{ cgroupParent: '/a/../b' }, /is not the path of a cgroup/],
  ] as const) {
    refused(flags, message);
  }
});

test('--allow device= is no device rather than every one', () => {
  const allow = (text: string) =>
    makeBuildRequest('.', { ...buildDefaults, allow: [text] }, {}, '/').allowDevices;
  assert.deepEqual(allow('device'), { all: true, names: [] });
  assert.throws(() => allow('device='), { code: 'usage', message: '--allow device= names no device' });
});
