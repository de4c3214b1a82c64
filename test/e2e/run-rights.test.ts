// Flags that say what RUN may do, see and use: kept in every sandbox that can, refused by the others before anything is
// executed.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { somebody } from '../support/as-user.ts';
import { baseImages } from '../support/base-registry.ts';
import { printedLines, writeContext } from '../support/images.ts';
import { type Program, run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const registry = baseImages();

const busybox = (slipway: Program, text: string) =>
  writeContext(slipway, { Dockerfile: `FROM busybox\n${text}` });

for (const isolation of ['oci', 'namespace']) {
  test(`--isolation=${isolation} keeps capabilities, filter, device, volumes, memory and limits that were asked for`, async () => {
    using slipway = registry.slipway();
    const volume = join(slipway.dir, 'volume');
    mkdirSync(volume);
    writeFileSync(join(volume, 'file'), 'of the machine\n');
    const profile = join(slipway.dir, 'profile.json');
    const denied = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 };
    writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [denied] }));
    const dir = busybox(
      slipway,
      'RUN grep CapEff /proc/self/status; (exec 3>/dev/log-of-kernel) && echo opened; cat /in/file; ' +
        'touch /in/x 2>/dev/null || echo read-only; echo x > /out/made; ulimit -n; ' +
        'df -k /dev/shm | tail -1 | tr -s " " | cut -d " " -f 2; mkdir /d 2>&1; grep NoNewPrivs /proc/self/status; ' +
        'cat /etc/resolv.conf; grep -cw db /etc/hosts; grep -o "slipway-[0-9]*" /proc/self/cgroup | sort -u | wc -l\n',
    );
    const ended = await slipway.must([
      ...[
        'build',
        '--progress=plain',
        `--isolation=${isolation}`,
        '--cap-add',
        'net_admin',
        '--cap-drop=CAP_CHOWN',
      ],
      ...['--security-opt', `seccomp=${profile}`, '--security-opt', 'no-new-privileges'],
      ...[
        '--device',
        '/dev/kmsg:/dev/log-of-kernel',
        '-v',
        `${volume}:/in:ro`,
        '-v',
        `${slipway.dir}:/out:z`,
      ],
      ...['-m', '64m', '--cpus=0.5', '--ulimit', 'nofile=100', '--shm-size=1m', '--dns', '192.0.2.1'],
      ...['--add-host', 'db:10.1.2.3', '-o', `type=tar,dest=${slipway.dir}/x.tar`, dir],
    ]);
    assert.deepEqual(printedLines(ended.stderr), [
      'CapEff:\t00000000a80435fa',
      ...['opened', 'of the machine', 'read-only', '100', '1024'],
      "mkdir: can't create directory '/d': Operation not supported",
      ...['NoNewPrivs:\t1', 'nameserver 192.0.2.1', '1', '1'],
    ]);
    assert.equal(readFileSync(join(slipway.dir, 'made'), 'utf8'), 'x\n');
    const names = (await run(['tar', '-tf', join(slipway.dir, 'x.tar')])).stdout.split('\n');
    assert.deepEqual(
      names.filter(name => /^(in|out)\b|log-of-kernel/.test(name)),
      [],
    );
  });

  test(`--isolation=${isolation} says that the memory was not enough`, async () => {
    using slipway = registry.slipway();
    const dir = busybox(slipway, 'RUN echo begun; x=0123456789abcdef; while true; do x=$x$x; done\n');
    const ended = await slipway.run(['build', `--isolation=${isolation}`, '--resource', 'memory=16m', dir]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /having used more memory than --memory allows/);
    assert.match(ended.stderr, /begun/);
  });
}

test('a process of a step that used too much memory is told of though its shell went on', async () => {
  using slipway = registry.slipway();
  const dir = busybox(
    slipway,
    "RUN sh -c 'x=0123456789abcdef; while true; do x=$x$x; done'; echo it was $?; exit 3\n",
  );
  const ended = await slipway.run(['build', '--isolation=namespace', '--memory=16m', dir]);
  assert.match(ended.stderr, /it was 137/);
  assert.match(ended.stderr, /the command ended with status 3, having used more memory than --memory allows/);
});

for (const [isolation, refused] of [
  ['namespace', [['--device', '/dev/null:r', 'device cgroup']]],
  [
    'chroot',
    [
      ['--shm-size', '1m', 'nothing can be mounted'],
      ['--cap-add', 'SYS_ADMIN', 'could leave its root'],
      ['--volume', '.:/w', 'nothing can be mounted'],
      ['--device', '/dev/null:w', 'device cgroup'],
    ],
  ],
  [
    'proot',
    [
      ['--shm-size', '1m', 'nothing can be mounted'],
      ['--cap-drop', 'ALL', 'pretends'],
      ['--cap-add', 'CHOWN', 'pretends'],
      ['--security-opt', 'seccomp=PROFILE', 'needs the system calls'],
      ['--device', '/dev/null:r', 'device cgroup'],
    ],
  ],
  ['oci', [['--cpuset-cpus', '4095', 'there is no 4095']]],
] as const) {
  test(`--isolation=${isolation} refuses what it cannot keep before anything is executed`, async () => {
    using slipway = registry.slipway();
    const profile = join(slipway.dir, 'profile.json');
    writeFileSync(profile, '{"defaultAction": "SCMP_ACT_ALLOW"}');
    const dir = busybox(slipway, 'RUN echo it runs\n');
    for (const [flag, value, reason] of refused) {
      const given = value.replace('PROFILE', profile);
      const ended = await slipway.run([
        'build',
        '--progress=plain',
        `--isolation=${isolation}`,
        flag,
        given,
        dir,
      ]);
      assert.equal(ended.status, 1, `${flag} ${value}`);
      assert.match(
        ended.stderr,
        new RegExp(`error: ${flag}.* cannot be kept with --isolation=${isolation}: .*${reason}`),
      );
      assert.doesNotMatch(ended.stderr, /^#\d+ .*RUN echo/m);
    }
  });
}

test('chroot and proot keep what they can: memory, limits, devices, read-only volumes, no new privileges', async () => {
  using slipway = registry.slipway();
  const volume = join(slipway.dir, 'volume');
  mkdirSync(volume);
  writeFileSync(join(volume, 'file'), 'of the machine\n');
  const dir = busybox(
    slipway,
    'RUN cat /in/file; (exec 3>/dev/log-of-kernel) && echo opened; ulimit -n; echo x > /in/file\n',
  );
  const hungry = busybox(slipway, 'RUN x=0123456789abcdef; while true; do x=$x$x; done\n');
  for (const isolation of ['chroot', 'proot']) {
    const flags = ['build', '--progress=plain', '--no-cache', `--isolation=${isolation}`, '--memory=64m'];
    const ended = await slipway.must([
      ...[
        ...flags,
        '--ulimit',
        'nofile=100',
        '--device',
        '/dev/kmsg:/dev/log-of-kernel',
        '-v',
        `${volume}:/in:ro`,
      ],
      ...['--security-opt', 'no-new-privileges', dir],
    ]);
    assert.deepEqual(printedLines(ended.stderr), ['of the machine', 'opened', '100']);
    assert.equal(readFileSync(join(volume, 'file'), 'utf8'), 'of the machine\n');
    const failed = await slipway.run([...flags, hungry]);
    assert.match(failed.stderr, /having used more memory than --memory allows/);
  }
});

test('a volume is seen by every RUN; with O what is written is thrown away, with U it belongs to the user', async () => {
  using slipway = registry.slipway();
  const volume = join(slipway.dir, 'volume');
  mkdirSync(join(volume, 'sub'), { recursive: true });
  const dir = busybox(
    slipway,
    'RUN touch /v/one\nRUN ls /v; touch /v/two\nUSER 1234:5678\nRUN touch /v/three && rm -f /v/sub/x\n',
  );
  const build = (options: string) =>
    slipway.must(['build', '--progress=plain', '--no-cache', '-v', `${volume}:/v${options}`, dir]);
  await assert.rejects(build(':O'), /Permission denied/);
  assert.deepEqual(printedLines((await build(':O,U')).stderr), ['sub']);
  assert.deepEqual(readdirSync(volume), ['sub']);
  await build(':U');
  assert.deepEqual(readdirSync(volume).sort(), ['one', 'sub', 'three', 'two']);
  assert.deepEqual([statSync(volume).uid, statSync(join(volume, 'sub')).gid], [1234, 5678]);
});

test('what a RUN mounts itself takes the place of a volume', async () => {
  using slipway = registry.slipway();
  const dir = busybox(slipway, 'RUN --mount=type=tmpfs,target=/v touch /v/only-in-memory\n');
  await slipway.must(['build', '-v', `${slipway.dir}:/v/`, dir]);
  assert.ok(!readdirSync(slipway.dir).includes('only-in-memory'));
});

test('rights are part of the cache key, amounts are not', async () => {
  using slipway = registry.slipway();
  const dir = busybox(slipway, 'RUN true\n');
  const build = async (...flags: readonly string[]) =>
    (await slipway.must(['build', '--progress=plain', '--explain', ...flags, dir])).stderr;
  await build();
  for (const flags of [['--memory=1g'], ['--cpus=1'], ['--ulimit', 'core=0'], ['--shm-size=1m']]) {
    assert.match(await build(...flags), /1 of 1 steps cached/, flags.join(' '));
  }
  for (const [flags, why] of [
    [['--cap-drop', 'chown'], '--cap-drop added: "?CHOWN'],
    [['--cap-drop', 'chown', '--security-opt', 'no-new-privileges'], 'no-new-privileges added'],
    [['--device', '/dev/null:/dev/other'], '--device /dev/other added'],
    [['-v', '/tmp:/w:ro'], '--volume /w added'],
    [['--security-opt=seccomp=unconfined'], 'seccomp added'],
  ] as const) {
    const said = await build(...flags);
    assert.match(said, /0 of 1 steps cached/, flags.join(' '));
    assert.match(said, new RegExp(why));
    assert.match(await build(...flags), /1 of 1 steps cached/, flags.join(' '));
  }
});

test('an ordinary user gets capabilities of its namespace, volumes and devices, and is told what it cannot have', async () => {
  using user = somebody('subordinate ids');
  using _ = { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
  const registries = join(user.home, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const dir = join(user.home, 'context');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'Dockerfile'),
    'FROM busybox\nRUN mkdir /m; mount -t tmpfs none /m && echo mounted; test -c /dev/nothing && echo x > /dev/nothing && echo device; ' +
      'cat /in/Dockerfile | wc -l; ulimit -n\n',
  );
  const build = (...flags: readonly string[]) =>
    run(
      user.wrap([
        ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(user.home, 'store')],
        ...[
          'build',
          '--progress=plain',
          ...flags,
          '-v',
          `${dir}:/in`,
          '--device',
          '/dev/null:/dev/nothing',
          dir,
        ],
      ]),
      { env: { CONTAINERS_REGISTRIES_CONF: registries } },
    );
  const hard = 5000;
  for (const [flags, message] of [
    [['--memory=64m'], /error: --memory cannot be kept with --isolation=namespace: /],
    [
      ['--ulimit', 'nofile=2000000'],
      /error: --ulimit nofile=2000000:2000000 cannot be kept .* may have \d+ at most/,
    ],
  ] as const) {
    const refused = await build(...flags);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, message);
    assert.doesNotMatch(refused.stderr, /mounted/);
  }
  const ended = await build('--cap-add=SYS_ADMIN', '--ulimit', `nofile=${hard}`);
  assert.equal(ended.status, 0, ended.stderr);
  assert.deepEqual(printedLines(ended.stderr), ['mounted', 'device', '2', String(hard)]);
});

test('an unlimited resource is unlimited in every sandbox', async () => {
  using slipway = registry.slipway();
  const dir = busybox(slipway, 'RUN ulimit -S -c; ulimit -H -c\n');

  for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
    const flags = ['--no-cache', `--isolation=${isolation}`, '--ulimit', 'core=-1'];
    const { stderr } = await slipway.must(['build', '--progress=plain', ...flags, dir]);
    assert.deepEqual(printedLines(stderr), ['unlimited', 'unlimited'], isolation);
  }
});

test('a default limit that may not be raised is lowered to what is allowed', async () => {
  using slipway = registry.slipway();
  const dir = busybox(slipway, 'RUN ulimit -H -n\n');
  for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
    const argv = [
      process.execPath,
      join(repoRoot, 'bin/slipway.js'),
      'build',
      '--progress=plain',
      '--no-cache',
    ];
    const ended = await run(
      [
        ...['setpriv', '--bounding-set=-sys_resource', 'sh', '-c', 'ulimit -n 3000; exec "$@"', 'sh'],
        ...[...argv, `--isolation=${isolation}`, dir],
      ],
      { env: { SLIPWAY_ROOT: slipway.store, CONTAINERS_REGISTRIES_CONF: registry.registriesConf } },
    );
    assert.equal(ended.status, 0, ended.stderr);
    assert.deepEqual(printedLines(ended.stderr), ['3000'], isolation);
    const asked = [...argv, `--isolation=${isolation}`, '--ulimit', 'nofile=4000', dir];
    const refused = await run(
      ['setpriv', '--bounding-set=-sys_resource', 'sh', '-c', 'ulimit -n 3000; exec "$@"', 'sh', ...asked],
      { env: { SLIPWAY_ROOT: slipway.store, CONTAINERS_REGISTRIES_CONF: registry.registriesConf } },
    );
    assert.match(
      refused.stderr,
      new RegExp(
        `error: --ulimit nofile=4000:4000 cannot be kept with --isolation=${isolation}: .* 3000 at most`,
      ),
    );
  }
});
