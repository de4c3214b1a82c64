// What every rung of the ladder promises. Called by one test file for each rung.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { BuildError, type ErrorCode } from '../../src/errors.ts';
import { effectiveCapabilities } from '../../src/host/probe.ts';
import { cgroupName, hierarchies } from '../../src/sandbox/cgroups.ts';
import { capabilityNames } from '../../src/sandbox/defaults.ts';
import { call, type LauncherStep, makeLauncher } from '../../src/sandbox/launcher/launcher.ts';
import type { Sandbox, SandboxMount, SandboxRequest, SandboxResult } from '../../src/sandbox/sandbox.ts';
import { readDockerProfile } from '../../src/sandbox/seccomp/docker-profile.ts';
import { makeRootfs, tempDir } from '../support/rootfs.ts';
import { showTree } from '../support/show-tree.ts';

interface Answer {
  readonly end: SandboxResult;
  readonly stdout: string;
  readonly stderr: string;
}

/** A root file system and a way to run shell scripts on it. */
export interface Bench {
  readonly sandbox: Sandbox;
  /** A directory outside of the root file system. */
  readonly outside: string;
  readonly rootfs: string;
  run(script: string, change?: Partial<SandboxRequest>): Promise<Answer>;
  /** The words that a script prints, and status 0. */
  words(script: string, change?: Partial<SandboxRequest>): Promise<readonly string[]>;
  refused(code: ErrorCode, message: RegExp, script: string, change?: Partial<SandboxRequest>): Promise<void>;
  [Symbol.dispose](): void;
}

export function bench(sandbox: Sandbox): Bench {
  const temp = tempDir();
  const outside = join(temp.path, 'outside');
  const rootfs = join(temp.path, 'rootfs');
  mkdirSync(outside);
  mkdirSync(rootfs);
  makeRootfs(rootfs);
  const run: Bench['run'] = async (script, change) => {
    const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const end = await sandbox.run({
      ...{ rootfs, argv: ['/bin/sh', '-c', script], env: ['PATH=/bin', 'HOME=/root'], cwd: '/' },
      ...{ uid: 0, gid: 0, groups: [], hostname: 'buildkitsandbox', security: 'sandbox' },
      network: canTakeNetwork(sandbox) ? 'none' : 'host',
      ...{ mounts: [], extraHosts: [], signal: new AbortController().signal },
      onOutput: (stream, chunk) => chunks[stream].push(chunk),
      ...change,
    });
    const text = (stream: 'stdout' | 'stderr') => Buffer.concat(chunks[stream]).toString('utf8');
    return { end, stdout: text('stdout'), stderr: text('stderr') };
  };
  return {
    sandbox,
    outside,
    rootfs,
    run,
    async words(script, change) {
      const { end, stdout, stderr } = await run(script, change);
      assert.deepEqual({ end, stderr }, { end: { kind: 'exited', status: 0 }, stderr: '' });
      return stdout.split(/\s+/).filter(Boolean);
    },
    async refused(code, message, script, change) {
      await assert.rejects(run(script, change), (error: unknown) => {
        assert.ok(error instanceof BuildError, String(error));
        assert.match(error.message, message);
        assert.equal(error.code, code);
        return true;
      });
    },
    [Symbol.dispose]: () => temp[Symbol.dispose](),
  };
}

function canTakeNetwork({ name }: Sandbox): boolean {
  return name !== 'chroot' && name !== 'proot';
}

type Within = (name: string, body: (b: Bench) => Promise<void>) => void;

/**
 * @param exceptions names of promises that this rung cannot keep (docs/isolation.md says why)
 */
export function sandboxContract(sandbox: Sandbox, exceptions: readonly string[] = []): void {
  const left = new Set(exceptions);
  const within: Within = (name, body) => {
    if (left.delete(name)) return;
    test(name, async () => {
      using b = bench(sandbox);
      await body(b);
    });
  };

  describe(`running steps by ${sandbox.description}`, () => {
    running(within);
    identity(within);
    surroundings(within);
    limits(within);
    rights(within);
    setuid(within);
    filters(within);
    devices(within);
    resources(within);
    mounting(within);
    leavingNothing(within);
    hostileImages(within);
    hostileSteps(within);
    ending(within);
    assert.deepEqual([...left], [], 'an exception names no promise');
  });
}

function running(within: Within): void {
  within('reports the exit status and keeps stdout and stderr apart', async b => {
    const { end, stdout, stderr } = await b.run('echo out; echo err >&2; exit 7');
    assert.deepEqual(
      { end, stdout, stderr },
      {
        end: { kind: 'exited', status: 7 },
        stdout: 'out\n',
        stderr: 'err\n',
      },
    );
  });

  within('reports how the command has ended, not what ends after it, and a signal as such', async b => {
    const { end } = await b.run('(sleep 0.05; exit 0) & exit 3');
    assert.deepEqual(end, { kind: 'exited', status: 3 });
    // Process 1 of a namespace, as a runtime has it, cannot end itself with a signal.
    if (b.sandbox.name === 'oci') return;
    const { end: killed } = await b.run('ls / >/dev/null; kill -SEGV $$');
    assert.deepEqual(killed, { kind: 'signalled', signal: 'SIGSEGV' });
  });

  within('delivers megabytes of output whole', async b => {
    const { stdout } = await b.run('yes 0123456789abcde | head -c 5000000');
    assert.equal(stdout.length, 5_000_000);
  });

  within('lets /dev/stdout be opened anew', async b => {
    assert.deepEqual(await b.words('echo one > /dev/stdout; echo two | tee /dev/stderr 2>&1 >/dev/null'), [
      'one',
      'two',
    ]);
  });

  within('gives an empty stdin', async b => {
    assert.deepEqual(await b.words('wc -c'), ['0']);
  });

  within('looks a command up in PATH, and takes arguments as they are', async b => {
    const { stdout } = await b.run('', { argv: ['echo', '-n', '$HOME', 'a  b', '*'] });
    assert.equal(stdout, '$HOME a  b *');
  });

  within('says that a command does not exist', async b => {
    await b.refused('run', /the command nope was not found/, '', { argv: ['nope'] });
    await b.refused('run', /the command \/bin\/nope was not found/, '', { argv: ['/bin/nope'] });
  });

  within('says that a command is not executable', async b => {
    writeFileSync(join(b.rootfs, 'bin/data'), 'x', { mode: 0o644 });
    await b.refused('run', /the command \/bin\/data is not executable/, '', { argv: ['/bin/data'] });
  });

  within('RT-23: refuses an environment larger than the kernel takes before starting anything', async b => {
    await b.refused('run', /too large for the kernel/, 'true', { env: [`BIG=${'x'.repeat(1 << 20)}`] });
    const many = Array.from({ length: 100_000 }, (_, i) => `NAME_OF_VARIABLE_${i}=value`);
    await b.refused('run', /too large for the kernel/, 'true', { env: many });
  });

  within('passes exactly the environment asked for', async b => {
    const { stdout } = await b.run('env', { argv: ['/bin/env'], env: ['A=1', 'B=two words'] });
    const lines = stdout
      .trim()
      .split('\n')
      .filter(line => !/^(HOME|PWD)=/.test(line));
    assert.deepEqual(lines.sort(), ['A=1', 'B=two words']);
  });
}

function identity(within: Within): void {
  within('RT-17: runs as the user, group and supplementary groups asked for', async b => {
    const words = await b.words('id -u; id -g; grep Groups /proc/self/status', {
      uid: 1000,
      gid: 1001,
      groups: [20, 30],
    });
    assert.deepEqual(words.slice(0, 2), ['1000', '1001']);
    assert.deepEqual(words.slice(3).sort(), ['1001', '20', '30']);
  });

  within('RT-16: gives root the capabilities that Docker gives, none of them inheritable', async b => {
    assert.deepEqual(await b.words('grep Cap /proc/self/status | cut -f 2'), [
      '0000000000000000',
      '00000000a80425fb',
      '00000000a80425fb',
      '00000000a80425fb',
      '0000000000000000',
    ]);
  });

  within('gives another user no capabilities', async b => {
    const [inheritable, permitted, effective] = await b.words('grep Cap /proc/self/status | cut -f 2', {
      uid: 1000,
      gid: 1000,
    });
    assert.deepEqual([inheritable, permitted, effective], Array(3).fill('0000000000000000'));
  });

  within('sets umask 022 whatever the umask outside is', async b => {
    const before = process.umask(0o077);
    try {
      assert.deepEqual(await b.words('umask; touch /tmp/f; stat -c %a /tmp/f'), ['0022', '644']);
    } finally {
      process.umask(before);
    }
  });

  within('RT-01: hands no open file on but 0, 1 and 2', async b => {
    // The fourth is the one that ls itself reads the directory with.
    assert.deepEqual(await b.words('ls /proc/self/fd'), ['0', '1', '2', '3']);
  });
}

function surroundings(within: Within): void {
  within('has its own host name, hosts file and resolver', async b => {
    const { stdout } = await b.run('hostname; cat /etc/hosts; test -f /etc/resolv.conf && echo resolver', {
      hostname: 'elsewhere',
      extraHosts: [['10.1.2.3', 'db']],
    });
    assert.equal(
      stdout,
      'elsewhere\n127.0.0.1\tlocalhost elsewhere\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tdb\nresolver\n',
    );
  });

  within('has no network but a working loopback interface', async b => {
    const words = await b.words(
      'ls /sys/class/net; (echo hello | nc -l -p 4242 >/dev/null & sleep 0.2; nc 127.0.0.1 4242 </dev/null)',
    );
    assert.deepEqual(words, ['lo', 'hello']);
  });

  within('shares the network of the machine when asked to', async b => {
    const inside = await b.words('readlink /proc/self/ns/net', { network: 'host' });
    assert.deepEqual(inside, [readlinkSync('/proc/self/ns/net')]);
  });

  within('has the usual devices, a pseudo terminal and shared memory', async b => {
    const words = await b.words(
      'for f in null zero full random urandom tty ptmx pts shm mqueue fd stdin stdout stderr; do ' +
        'test -e /dev/$f || echo no-$f; done; head -c 3 /dev/zero | wc -c; echo x > /dev/null; ' +
        'touch /dev/shm/x; exec 3<>/dev/ptmx; ls /dev/pts',
    );
    assert.deepEqual(words, ['3', '0', 'ptmx']);
  });

  within('shows processes of the step only', async b => {
    const words = await b.words('ls /proc | grep -E "^[0-9]+$" | wc -l');
    assert.ok(Number(words[0]) < 8, `${words} processes`);
  });

  within('hides and protects what Docker hides and protects in /proc and /sys', async b => {
    const words = await b.words(
      'wc -c < /proc/keys; ls /proc/acpi /sys/firmware 2>/dev/null | grep -v : ; ' +
        'for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/uevent_seqnum; do ' +
        '(echo x > $f) 2>/dev/null && echo wrote-$f; done; echo end',
    );
    assert.deepEqual(words, ['0', 'end']);
  });

  within('RT-15: lets nothing under /sys be written', async b => {
    assert.deepEqual(
      await b.words(
        'find /sys -type f -perm -200 2>/dev/null | head -200 | while read f; do (: >> $f) 2>/dev/null && echo $f; done; echo end',
      ),
      ['end'],
    );
  });

  within('does not let a device of the machine be opened', async b => {
    const { end, stderr } = await b.run(
      'mknod /tmp/disk b 254 0; head -c 1 /tmp/disk; mknod /dev/disk b 254 0; head -c 1 /dev/disk',
    );
    assert.notDeepEqual(end, { kind: 'exited', status: 0 });
    // proot says that it made one, and did not.
    const refusal = /^\S+: .*(?:Operation not permitted|Permission denied|No such file or directory)$/;
    for (const path of ['/tmp/disk', '/dev/disk']) {
      const lines = stderr.split('\n').filter(line => line.includes(path));
      assert.ok(lines.length > 0 && lines.every(line => refusal.test(line)), stderr);
    }
  });

  within('filters system calls as Docker does', async b => {
    const { AF_ALG, AF_INET, CLONE_NEWUSER, EPERM, ENOSYS } = {
      AF_ALG: 38,
      AF_INET: 2,
      CLONE_NEWUSER: 1 << 28,
      EPERM: 1,
      ENOSYS: 38,
    };
    const number = {
      personality: process.arch === 'arm64' ? 92 : 135,
      clone3: 435,
      bpf: process.arch === 'arm64' ? 280 : 321,
    };
    const expect = (value: number | 'success', step: LauncherStep) =>
      ({ ...step, expect: value }) as LauncherStep;
    const { file } = makeLauncher(
      [
        expect('success', call('socket', AF_INET, 2, 0)),
        expect(-EPERM, call('socket', AF_ALG, 5, 0)),
        expect(-EPERM, call('unshare', CLONE_NEWUSER)),
        expect(-EPERM, call('clone', CLONE_NEWUSER | 17)),
        expect(-ENOSYS, call(number.clone3, 0, 0)),
        expect(0, call(number.personality, 8)),
        expect(8, call(number.personality, 0xffffffff)),
        expect(-EPERM, call(number.personality, 0x40000)),
        expect(-EPERM, call(number.bpf, 0, 0, 0)),
        expect(-EPERM, call('keyctl', 0, -3, 0)),
        expect(-EPERM, call('mount', 0, '/tmp', 0, 0, 0)),
        call('exit_group', 42),
      ],
      1,
    );
    writeFileSync(join(b.rootfs, 'calls'), file, { mode: 0o755 });
    const { end, stdout } = await b.run('', { argv: ['/calls'] });
    assert.deepEqual({ end, stdout }, { end: { kind: 'exited', status: 42 }, stdout: '' });
    assert.deepEqual(await b.words('grep Seccomp: /proc/self/status'), ['Seccomp:', '2']);
  });

  within('does not filter what was allowed to be insecure', async b => {
    const words = await b.words(
      'grep Seccomp: /proc/self/status; mkdir /tmp/m; mount -t tmpfs none /tmp/m && echo mounted; ' +
        'unshare -U true && echo unshared; grep CapEff /proc/self/status',
      { security: 'insecure' },
    );
    assert.deepEqual(words.slice(0, 4), ['Seccomp:', '0', 'mounted', 'unshared']);
    const own = /^CapEff:\t(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    assert.equal(words.at(-1), own);
  });

  within('does not let anything be mounted', async b => {
    const { stdout } = await b.run(
      'mkdir -p /tmp/m; mount -t tmpfs none /tmp/m 2>/dev/null || echo refused; umount /proc 2>/dev/null || echo refused',
    );
    assert.equal(stdout, 'refused\nrefused\n');
  });

  within('starts in the working directory, and makes it when it is missing', async b => {
    assert.deepEqual(await b.words('pwd', { cwd: '/a/b' }), ['/a/b']);
    assert.ok(existsSync(join(b.rootfs, 'a/b')));
  });
}

function limits(within: Within): void {
  within('sets the limits asked for, and the number of open files to what was asked', async b => {
    const asked = [
      { name: 'nofile', soft: 100, hard: 200 },
      { name: 'core', soft: 0, hard: 0 },
    ] as const;
    const words = await b.words('ulimit -n; ulimit -H -n; ulimit -c', { limits: asked });
    assert.deepEqual(words, ['100', '200', '0']);
  });

  within('asks the name servers it was told to', async b => {
    const dns = { servers: ['192.0.2.1'], searches: ['example.test'], options: ['ndots:2'] };
    const { stdout } = await b.run('cat /etc/resolv.conf', { dns });
    assert.equal(stdout, 'nameserver 192.0.2.1\nsearch example.test\noptions ndots:2\n');
  });

  within('makes shared memory as large as asked', async b => {
    assert.match((await b.run('df -k /dev/shm', { shmSize: 1 << 20 })).stdout, / 1024 /);
  });
}

const capabilitySets = 'grep Cap /proc/self/status | cut -f 2';

function rights(within: Within): void {
  within('adds and drops capabilities', async b => {
    const sets = (
      await b.words(capabilitySets, { capabilities: { add: ['SYS_NICE'], drop: ['CHOWN'] } })
    ).slice(0, 4);
    assert.deepEqual(sets, ['0000000000000000', ...Array(3).fill('00000000a88425fa')]);
    assert.deepEqual(
      await b.words('touch /tmp/f; chown 5 /tmp/f 2>/dev/null || echo no', {
        capabilities: { add: [], drop: ['CHOWN'] },
      }),
      ['no'],
    );
  });

  within('drops all capabilities but those that are added, and adds all that it has itself', async b => {
    const few = await b.words(capabilitySets, { capabilities: { add: ['CHOWN'], drop: ['ALL'] } });
    assert.deepEqual(few.slice(0, 4), ['0000000000000000', ...Array(3).fill('0000000000000001')]);
    const all = await b.words(capabilitySets, { capabilities: { add: ['ALL'], drop: [] } });
    assert.equal(all[1], /^CapEff:\t(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  });

  within('lets what a capability is for through the filter', async b => {
    const mount = 'mkdir /tmp/m; mount -t tmpfs none /tmp/m 2>/dev/null && echo mounted || echo refused';
    assert.deepEqual(await b.words(mount, { capabilities: { add: ['SYS_ADMIN'], drop: [] } }), ['mounted']);
    assert.deepEqual(
      await b.words('unshare -m true && echo unshared', { capabilities: { add: ['SYS_ADMIN'], drop: [] } }),
      ['unshared'],
    );
  });

  within('refuses a capability that it does not have itself, before anything is executed', async b => {
    const available = effectiveCapabilities();
    const missing = capabilityNames.find((_, number) => ((available >> BigInt(number)) & 1n) === 0n);
    if (missing === undefined) return;
    const capabilities = { add: [missing], drop: [] };
    assert.throws(() => b.sandbox.check({ capabilities }), {
      code: 'sandbox',
      message: new RegExp(`^--cap-add ${missing} cannot be kept with --isolation=${b.sandbox.name}: `),
    });
    await b.refused('sandbox', /cannot be kept/, 'touch /begun', { capabilities });
    assert.ok(!existsSync(join(b.rootfs, 'begun')));
  });

  within('refuses new privileges when told to', async b => {
    const line = 'grep NoNewPrivs /proc/self/status';
    assert.deepEqual(await b.words(line, { noNewPrivileges: true }), ['NoNewPrivs:', '1']);
    assert.deepEqual(await b.words(line), ['NoNewPrivs:', '0']);
  });
}

function setuid(within: Within): void {
  within('lets a program have more rights than its caller, unless told not to', async b => {
    const geteuid = process.arch === 'arm64' ? 175 : 107;
    const { file } = makeLauncher(
      [{ ...call(geteuid), expect: 0 } as LauncherStep, call('exit_group', 42)],
      1,
    );
    writeFileSync(join(b.rootfs, 'be-root'), file);
    chmodSync(join(b.rootfs, 'be-root'), 0o4755);
    const change = { argv: ['/be-root'], uid: 1000, gid: 1000 };
    assert.deepEqual((await b.run('', change)).end, { kind: 'exited', status: 42 });
    const { end } = await b.run('', { ...change, noNewPrivileges: true });
    assert.deepEqual(end, { kind: 'exited', status: 125 });
  });
}

/** No directory can be made, everything else is allowed. */
const noMkdir = readDockerProfile(
  JSON.stringify({
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      { names: ['mkdir', 'mkdirat', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 },
      {
        names: ['personality'],
        action: 'SCMP_ACT_ERRNO',
        errnoRet: 16,
        args: [{ index: 0, value: 0x40000, op: 'SCMP_CMP_GE' }],
      },
    ],
  }),
  'test.json',
);

function filters(within: Within): void {
  within('filters system calls by a profile of the user', async b => {
    const { stdout, stderr } = await b.run('mkdir /tmp/d; echo ran', {
      seccomp: noMkdir,
    });
    assert.match(stderr, /not supported/);
    assert.equal(stdout, 'ran\n');
  });

  within('compares arguments as a profile says', async b => {
    const number = process.arch === 'arm64' ? 92 : 135;
    const expect = (value: number, argument: number) =>
      ({ ...call(number, argument), expect: value }) as LauncherStep;
    const { file } = makeLauncher(
      [expect(0, 8), expect(8, 0), expect(-16, 0x40000), expect(-16, 0x7fffffff), call('exit_group', 42)],
      1,
    );
    writeFileSync(join(b.rootfs, 'calls'), file, { mode: 0o755 });
    const { end, stdout } = await b.run('', { argv: ['/calls'], seccomp: noMkdir });
    assert.deepEqual({ end, stdout }, { end: { kind: 'exited', status: 42 }, stdout: '' });
  });

  within('does not filter when told not to', async b => {
    const words = await b.words('grep Seccomp: /proc/self/status; unshare -U true && echo unshared', {
      seccomp: 'unconfined',
    });
    assert.deepEqual(words, ['Seccomp:', '0', 'unshared']);
  });
}

function devices(within: Within): void {
  // It may be written, though not read, without any capability.
  const kmsg = { source: '/dev/kmsg', target: '/dev/of-the-machine', access: 'rwm' };

  within('shows a device that it was told to, in /dev and elsewhere, and leaves nothing of it', async b => {
    const before = showTree(b.rootfs);
    const words = await b.words(
      'for f in /dev/of-the-machine /opt/dev; do test -c $f && stat -c %t:%T $f; exec 3>$f; done',
      { devices: [kmsg, { ...kmsg, target: '/opt/dev' }] },
    );
    assert.deepEqual(words, ['1:b', '1:b']);
    assert.deepEqual(showTree(b.rootfs), before);
  });

  within('keeps to the access that was given to a device', async b => {
    const open = '(exec 3>/dev/of-the-machine) 2>/dev/null && echo written || echo refused';
    assert.deepEqual(await b.words(open, { devices: [{ ...kmsg, access: 'w' }] }), ['written']);
    assert.deepEqual(await b.words(open, { devices: [{ ...kmsg, access: 'r' }] }), ['refused']);
  });

  within('refuses a device that does not exist or is none, before anything is executed', async b => {
    for (const source of ['/dev/nope', '/etc/passwd', b.outside]) {
      const devices = [{ ...kmsg, source }];
      assert.throws(() => b.sandbox.check({ devices }), { code: 'usage', message: /^--device / });
      await b.refused('usage', /does not exist|is no device/, 'true', { devices });
    }
  });
}

function resources(within: Within): void {
  const own = () =>
    hierarchies()
      .flatMap(({ top, own }) => [...readdirSync(top), ...readdirSync(own)])
      .filter(name => name.startsWith(cgroupName('')));

  within('keeps a step within its memory, says that it was not enough, and leaves no cgroup', async b => {
    const hungry = 'x=0123456789abcdef; while true; do x=$x$x; done';
    const { end } = await b.run(hungry, { resources: { memory: 16 << 20 } });
    assert.equal(end.ranOutOfMemory, true);
    const { end: modest } = await b.run('kill -9 $$', { resources: { memory: 16 << 20 } });
    assert.notEqual(modest.ranOutOfMemory, true);
    assert.deepEqual(own(), []);
  });

  within('gives a step the processors that were asked for', async b => {
    assert.deepEqual(await b.words('nproc', { resources: { cpusetCpus: '0' } }), ['1']);
    const { end } = await b.run('true', {
      resources: { cpuQuota: 50_000, cpuPeriod: 100_000, cpuShares: 512 },
    });
    assert.deepEqual(end, { kind: 'exited', status: 0 });
  });

  within('refuses what the cgroups of this machine cannot keep, before anything is executed', async b => {
    for (const [resources, flag] of [
      [{ cpusetCpus: '4095' }, '--cpuset-cpus'],
      [{ memory: 16 << 20, cgroupParent: '/no/such/group' }, '--cgroup-parent'],
      [{ cgroupParent: '/no/such/group' }, '--cgroup-parent'],
    ] as const) {
      assert.throws(() => b.sandbox.check({ resources }), {
        code: 'sandbox',
        message: new RegExp(`^${flag} cannot be kept with --isolation=${b.sandbox.name}: `),
      });
      await b.refused('sandbox', /cannot be kept/, 'true', { resources });
    }
  });
}

function mounting(within: Within): void {
  within('shows a directory read-only, and one that can be written', async b => {
    const inner = join(b.outside, 'dir');
    mkdirSync(inner);
    writeFileSync(join(inner, 'file'), 'content\n');
    const mount = { kind: 'bind', source: inner, readonly: true } as const;
    const words = await b.words('cat /ro/file; touch /ro/x 2>/dev/null || echo denied; echo new > /rw/made', {
      mounts: [
        { ...mount, target: '/ro' },
        { ...mount, target: '/rw', readonly: false },
      ],
    });
    assert.deepEqual(words, ['content', 'denied']);
    assert.equal(readFileSync(join(inner, 'made'), 'utf8'), 'new\n');
  });

  within('shows a file at a place that does not exist', async b => {
    writeFileSync(join(b.outside, 'secret'), 'canary');
    const source = join(b.outside, 'secret');
    const target = '/run/secrets/token';
    const mounts = [{ kind: 'bind', source, target, readonly: true, isFile: true }] as const;
    assert.deepEqual(await b.words(`cat ${target}`, { mounts }), ['canary']);
    assert.ok(!existsSync(join(b.rootfs, 'run')));
  });

  within('shows a file below /dev', async b => {
    writeFileSync(join(b.outside, 'script'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
    const source = join(b.outside, 'script');
    const mounts = [
      { kind: 'bind', source, target: '/dev/pipes/EOF', readonly: true, isFile: true },
    ] as const;
    assert.deepEqual(await b.words('/dev/pipes/EOF', { mounts }), ['ran']);
  });

  within('gives memory with a limit', async b => {
    const mounts = [{ kind: 'tmpfs', target: '/cache/deep', readonly: false, size: 1 << 20 }] as const;
    const { stdout } = await b.run(
      'df -k /cache/deep | tail -1; head -c 2000000 /dev/zero > /cache/deep/x || echo full',
      { mounts },
    );
    assert.match(stdout, / 1024 /);
    assert.match(stdout, /full/);
  });

  within('mounts parents before what is below them', async b => {
    mkdirSync(join(b.outside, 'sub'));
    const mounts = [
      { kind: 'tmpfs', target: '/m/sub', readonly: false },
      { kind: 'bind', source: b.outside, target: '/m', readonly: false },
    ] as const;
    assert.deepEqual(await b.words('touch /m/sub/only-in-memory; ls /m', { mounts }), ['sub']);
    assert.deepEqual(readdirSync(join(b.outside, 'sub')), []);
  });

  within('makes places for mounts within mounts, which stay where they were made', async b => {
    const [outer, inner, other] = ['outer', 'inner', 'other'].map(name => join(b.outside, name));
    for (const dir of [outer, inner, other]) mkdirSync(dir ?? '');
    writeFileSync(join(b.outside, 'lent'), 'lent\n');
    const mounts = [
      { kind: 'bind', source: outer, target: '/c', readonly: false },
      { kind: 'bind', source: inner, target: '/c/a/b', readonly: false },
      { kind: 'bind', source: join(b.outside, 'lent'), target: '/c/f', readonly: true, isFile: true },
      { kind: 'tmpfs', target: '/t', readonly: false },
      { kind: 'bind', source: other, target: '/t/x/y', readonly: true },
    ] as const satisfies readonly SandboxMount[];
    const script = 'cat /c/f; touch /c/a/b/made /c/a/beside /t/x/memory 2>/dev/null; ls /c /c/a /t';
    const words = await b.words(script, { mounts });
    assert.deepEqual(words.slice(0, 8), ['lent', '/c:', 'a', 'f', '/c/a:', 'b', 'beside', '/t:']);
    assert.deepEqual(readdirSync(inner ?? ''), ['made']);
    assert.ok(existsSync(join(outer ?? '', 'a/beside')));
    assert.ok(!existsSync(join(outer ?? '', 'a/b/made')));
  });

  within('says that there is no place for a mount within one that is read-only', async b => {
    const mounts = [
      { kind: 'bind', source: b.outside, target: '/c', readonly: true },
      { kind: 'tmpfs', target: '/c/new', readonly: false },
    ] as const;
    await b.refused('run', /\/c\/new: it is not there in the mount on \/c/, 'true', { mounts });
  });

  within('finds a target behind a symlink within the root', async b => {
    symlinkSync('/target', join(b.rootfs, 'link'));
    const mounts = [{ kind: 'tmpfs', target: '/link/here', readonly: false }] as const;
    assert.deepEqual(await b.words('grep -c " /target/here " /proc/self/mounts', { mounts }), ['1']);
    assert.ok(!existsSync(join(b.rootfs, 'target')));
  });

  within('refuses to mount on the root, on /proc or on /sys, by whatever name', async b => {
    symlinkSync('/', join(b.rootfs, 'top'));
    symlinkSync('proc', join(b.rootfs, 'link'));
    for (const target of ['/top', '/proc', '/link', '/proc/sys', '/sys/fs', '/x/..', '/dev']) {
      const mounts = [{ kind: 'tmpfs', target, readonly: false }] as const;
      await b.refused('run', /nothing can be mounted on/, 'true', { mounts });
    }
  });

  within('RT-07: refuses a source that is a symlink or does not exist', async b => {
    symlinkSync('/etc', join(b.outside, 'link'));
    const mount = { kind: 'bind', target: '/m', readonly: true } as const;
    for (const name of ['link', 'missing']) {
      const mounts = [{ ...mount, source: join(b.outside, name) }];
      await b.refused('sandbox', /cannot be mounted/, 'true', { mounts });
    }
  });
}

function leavingNothing(within: Within): void {
  within('leaves the root file system as it was, times included', async b => {
    writeFileSync(join(b.outside, 'file'), '');
    const before = showTree(b.rootfs);
    await b.words('true', {
      mounts: [
        { kind: 'tmpfs', target: '/var/cache/x', readonly: false },
        { kind: 'tmpfs', target: '/root/new', readonly: false },
        { kind: 'bind', source: join(b.outside, 'file'), target: '/etc/extra', readonly: true, isFile: true },
      ],
    });
    assert.deepEqual(showTree(b.rootfs), before);
  });

  within('leaves it as it was when the step could not be started, too', async b => {
    const before = showTree(b.rootfs);
    await b.refused('run', /not found/, '', { argv: ['/nope'] });
    assert.deepEqual(showTree(b.rootfs), before);
  });

  within('keeps a mount point that the step put something into, or whose mode it changed', async b => {
    await b.words('mkdir -p /opt/x; chmod 700 /opt', {
      mounts: [{ kind: 'tmpfs', target: '/opt/cache', readonly: false }],
    });
    assert.deepEqual(readdirSync(join(b.rootfs, 'opt')), ['x']);
    assert.equal(lstatSync(join(b.rootfs, 'opt')).mode & 0o777, 0o700);
  });

  within('leaves no file of its own behind', async b => {
    const dirs = () => [tmpdir(), '/run/slipway'].flatMap(dir => readdirSync(dir));
    const own = () => dirs().filter(name => name.startsWith(`slipway-run-${process.pid}-`));
    await b.words('true');
    assert.deepEqual(own(), []);
  });

  within('RT-08: does not delete through a link that the step put in place of a mount point', async b => {
    mkdirSync(join(b.outside, 'b'));
    writeFileSync(join(b.outside, 'hosts'), '');
    const mounts = [{ kind: 'tmpfs', target: '/a/b', readonly: false }] as const;
    // The step cannot remove what is mounted on, but can move its parent away.
    await b.run(`mv /a /a.old; ln -s ${b.outside} /a; mv /etc /etc.old; ln -s ${b.outside} /etc`, { mounts });
    assert.deepEqual(readdirSync(b.outside).sort(), ['b', 'hosts']);
  });
}

function hostileImages(within: Within): void {
  for (const name of ['proc', 'sys', 'dev']) {
    within(`RT-03, RT-05: refuses an image whose /${name} is a symlink or a file`, async b => {
      writeFileSync(join(b.outside, 'ptmx'), 'canary');
      symlinkSync(b.outside, join(b.rootfs, name));
      await b.refused('hostile', new RegExp(`/${name} is a symbolic link`), 'true');
      rmSync(join(b.rootfs, name));
      symlinkSync('tmp', join(b.rootfs, name));
      await b.refused('hostile', new RegExp(`/${name} is a symbolic link`), 'true');
      rmSync(join(b.rootfs, name));
      writeFileSync(join(b.rootfs, name), '');
      await b.refused('hostile', new RegExp(`/${name} is no directory`), 'true');
      assert.equal(readFileSync(join(b.outside, 'ptmx'), 'utf8'), 'canary');
    });
  }

  within('follows links at /etc/hosts and /etc/resolv.conf within the root only', async b => {
    writeFileSync(join(b.outside, 'hosts'), 'canary');
    symlinkSync(join(b.outside, 'hosts'), join(b.rootfs, 'etc/hosts'));
    symlinkSync('../run/resolve/stub.conf', join(b.rootfs, 'etc/resolv.conf'));
    const before = showTree(b.rootfs);
    assert.deepEqual(
      await b.words('grep -c localhost /etc/hosts; test -f /run/resolve/stub.conf && echo there'),
      ['2', 'there'],
    );
    assert.equal(readFileSync(join(b.outside, 'hosts'), 'utf8'), 'canary');
    assert.deepEqual(readdirSync(b.outside), ['hosts']);
    assert.deepEqual(showTree(b.rootfs), before);
  });

  within('RT-04: keeps /dev/null, /dev/pts and /dev/console of the image from leading anywhere', async b => {
    mkdirSync(join(b.rootfs, 'dev'));
    for (const name of ['null', 'pts', 'console', 'shm']) symlinkSync(b.outside, join(b.rootfs, 'dev', name));
    await b.words('echo x > /dev/null; touch /dev/shm/x');
    assert.deepEqual(readdirSync(b.outside), []);
  });

  within('RT-01: refuses a working directory in /proc, by whatever name', async b => {
    symlinkSync('/proc/self/fd/7', join(b.rootfs, 'wd'));
    for (const cwd of ['/proc/self/fd/3', '/wd', '/tmp/../proc', '/sys']) {
      await b.refused('hostile', /working directory .* is in \/proc or \/sys/, 'true', { cwd });
    }
  });

  within('RT-01: makes a missing working directory behind a link within the root', async b => {
    symlinkSync(b.outside, join(b.rootfs, 'w'));
    await b.words('true', { cwd: '/w/x' });
    assert.deepEqual(readdirSync(b.outside), []);
    assert.ok(existsSync(join(b.rootfs, b.outside, 'x')));
  });

  within('gives up on links that make a loop', async b => {
    symlinkSync('loop', join(b.rootfs, 'loop'));
    await b.refused('hostile', /loop/, 'true', { cwd: '/loop/x' });
  });
}

function hostileSteps(within: Within): void {
  within('RT-14: does not show the environment of the builder', async b => {
    process.env.SLIPWAY_CANARY = 'canary-5417';
    try {
      const { stdout } = await b.run(
        'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr "\\0" "\\n" | grep "canary-[5]417"; true',
      );
      assert.equal(stdout, '');
    } finally {
      delete process.env.SLIPWAY_CANARY;
    }
  });

  within('does not let a step leave its root', async b => {
    writeFileSync(join(b.outside, 'canary'), '');
    const path = join(b.outside, 'canary');
    const { stdout } = await b.run(
      `cd /; ls ../../../..${path} /proc/1/root${path} /proc/1/cwd${path} /proc/[0-9]*/fd/*/..${path} 2>/dev/null; ` +
        `mkdir -p /tmp/j && cp -r /bin /tmp/j/ && chroot /tmp/j /bin/sh -c 'cd ../../../../..; ls .${path}' 2>/dev/null; true`,
    );
    assert.equal(stdout, '');
  });

  within('ends what a step left running in the background', async b => {
    await b.words(`(sleep 1; touch ${'/late'}) >/dev/null 2>&1 & true`);
    await new Promise(resolve => setTimeout(resolve, 1500));
    assert.ok(!existsSync(join(b.rootfs, 'late')));
  });

  within('does not wait for a background process that keeps the output open', async b => {
    assert.deepEqual(await b.words('sleep 1000 & echo done'), ['done']);
  });
}

function ending(within: Within): void {
  within('does not begin when it is aborted already', async b => {
    await b.refused('interrupted', /interrupted/, 'touch /begun', { signal: AbortSignal.abort() });
    assert.ok(!existsSync(join(b.rootfs, 'begun')));
  });

  within('ends everything on abort and says that it was interrupted', async b => {
    const controller = new AbortController();
    const run = b.run("trap '' TERM INT; echo ready; sleep 1000 & sleep 1000", {
      signal: controller.signal,
      onOutput: () => controller.abort(),
    });
    await assert.rejects(run, { code: 'interrupted' });
    assert.ok(!readdirSync(b.rootfs).includes('proc'));
  });
}
