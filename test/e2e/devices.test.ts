// Devices by name (Container Device Interface): RUN --device and slipway build --device, in every sandbox.
import assert from 'node:assert/strict';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
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

/** Edits, and annotations beside them. */
type Thing = Readonly<Record<string, unknown>>;

/** Writes a specification of vendor.com/thing. @returns the flag that leads to it */
function describeThings(
  slipway: Pick<Program, 'dir'>,
  devices: Readonly<Record<string, Thing>>,
  change: object = {},
): string {
  const dir = join(slipway.dir, 'cdi');
  mkdirSync(dir, { recursive: true });
  const things = Object.entries(devices).map(([name, { annotations, ...containerEdits }]) => ({
    ...{ name, containerEdits },
    ...(annotations === undefined ? {} : { annotations }),
  }));
  const value = { cdiVersion: '0.7.0', kind: 'vendor.com/thing', devices: things, ...change };
  writeFileSync(join(dir, 'thing.json'), JSON.stringify(value));
  return `--cdi-spec-dir=${dir}`;
}

const executed = /^#\d+ .*RUN echo/m;

for (const isolation of ['oci', 'namespace', 'chroot', 'proot']) {
  test(`--isolation=${isolation} gives a device: file, mounts and variables, and nothing of it is in the image`, async () => {
    using slipway = registry.slipway();
    const library = join(slipway.dir, 'library');
    mkdirSync(library);
    writeFileSync(join(library, 'code'), 'of the machine\n');
    const dirs = describeThings(
      slipway,
      {
        one: {
          env: ['THING=one', 'PATH=/thing/bin:/bin'],
          deviceNodes: [{ path: '/dev/things/one', hostPath: '/dev/kmsg' }],
          mounts: [
            {
              hostPath: library,
              containerPath: '/opt/thing/lib',
              options: ['ro', 'nosuid', 'nodev', 'rbind'],
            },
            { hostPath: join(library, 'code'), containerPath: '/etc/thing.conf', options: ['ro', 'bind'] },
          ],
        },
      },
      { containerEdits: { env: ['EVERY=thing'] } },
    );
    const dir = busybox(
      slipway,
      'ENV THING=none OTHER=kept\nRUN --device=vendor.com/thing=one,required (exec 3>/dev/things/one) && echo opened; ' +
        'stat -c %t:%T /dev/things/one; cat /opt/thing/lib/code /etc/thing.conf; echo $THING $OTHER $EVERY $PATH; ' +
        '(echo x > /etc/thing.conf) 2>/dev/null; touch /made\nRUN ls -d /dev/things /opt /etc/thing.conf 2>/dev/null; echo $THING\n',
    );
    const tar = join(slipway.dir, 'x.tar');
    const flags = [
      'build',
      '--progress=plain',
      `--isolation=${isolation}`,
      dirs,
      '-o',
      `type=tar,dest=${tar}`,
    ];
    const ended = await slipway.must([...flags, '--allow', 'device=vendor.com/thing=one', dir]);
    assert.deepEqual(printedLines(ended.stderr), [
      ...['opened', '1:b', 'of the machine', 'of the machine', 'one kept thing /thing/bin:/bin', 'none'],
    ]);
    assert.equal(readFileSync(join(library, 'code'), 'utf8'), 'of the machine\n');
    const names = (await run(['tar', '-tf', tar])).stdout.split('\n');
    assert.deepEqual(
      names.filter(name => /thing|^opt|^made/.test(name)),
      ['made'],
    );
  });
}

for (const isolation of ['oci', 'namespace', 'chroot']) {
  test(`--isolation=${isolation} makes device files as they are described: number, mode, owner, or those of the step`, async () => {
    using slipway = registry.slipway();
    const dirs = describeThings(slipway, {
      zero: {
        deviceNodes: [
          { path: '/dev/zeros', type: 'c', major: 1, minor: 5, fileMode: 0o640, uid: 12, gid: 34 },
          { path: '/opt/zeros', type: 'c', major: 1, minor: 5, permissions: 'rw' },
          { path: '/dev/null', hostPath: '/dev/full' },
        ],
      },
    });
    const dir = busybox(
      slipway,
      'USER 1000:1001\nRUN --device=vendor.com/thing=zero stat -c "%t:%T %a %u:%g" /dev/zeros /opt/zeros /dev/null; ' +
        'head -c 2 /opt/zeros | wc -c; head -c 1 /dev/zeros 2>&1 | grep -o denied\n',
    );
    const flags = ['build', '--progress=plain', `--isolation=${isolation}`, dirs, '--allow', 'device'];
    const ended = await slipway.must([...flags, dir]);
    assert.deepEqual(printedLines(ended.stderr), [
      ...['1:5 640 12:34', '1:5 666 1000:1001', '1:7 666 1000:1001', '2', 'denied'],
    ]);
  });
}

test('groups of a device are groups of the step', async () => {
  using slipway = registry.slipway();
  const dirs = describeThings(slipway, { one: { additionalGids: [4321, 0] } });
  const dir = busybox(slipway, 'USER 1000:1001\nRUN --device=vendor.com/thing=one id -G\nRUN id -G\n');
  for (const isolation of ['oci', 'namespace', 'chroot']) {
    const flags = ['build', '--progress=plain', '--no-cache', `--isolation=${isolation}`, dirs];
    const ended = await slipway.must([...flags, '--allow=device', dir]);
    assert.deepEqual(printedLines(ended.stderr), ['1001 4321', '1001'], isolation);
  }
});

test('what a sandbox cannot give is refused before anything is executed, with the device, the sandbox and the reason', async () => {
  using slipway = registry.slipway();
  const socket = join(slipway.dir, 'socket');
  const server = createServer().listen(socket);
  await new Promise(resolve => server.once('listening', resolve));
  using _ = { [Symbol.dispose]: () => server.close() };
  const file = join(slipway.dir, 'file');
  writeFileSync(file, '');
  const mount = (hostPath: string, ...options: readonly string[]) => ({
    mounts: [{ hostPath, containerPath: '/opt/x', options }],
  });
  const hook = { hooks: [{ hookName: 'createContainer', path: '/bin/true' }] };
  const dir = busybox(slipway, 'RUN echo it runs\nRUN --device=vendor.com/thing=one true\n');
  for (const [isolation, device, reason] of [
    ['namespace', hook, 'the hook createContainer \\(/bin/true\\), and hooks are started by an OCI runtime'],
    [
      'namespace',
      { deviceNodes: [{ path: '/dev/null', permissions: 'r' }] },
      '/dev/null with access r, .* cgroup',
    ],
    [
      'namespace',
      { deviceNodes: [{ path: '/dev/null', permissions: 'none' }] },
      'with access none, .* cgroup',
    ],
    ['chroot', hook, 'hook createContainer'],
    [
      'chroot',
      mount(file),
      'the mount .*/file, which can be written to, and what is written to a copy is lost',
    ],
    ['chroot', mount(file, 'ro', 'noexec'), 'the mount .*/file with noexec, and nothing can be mounted'],
    ['chroot', mount(socket, 'ro'), 'the mount .*/socket, a socket, .* cannot be copied'],
    ['proot', hook, 'hook createContainer'],
    ['proot', { additionalGids: [44] }, 'the group 44, and nobody really becomes another user'],
    [
      'proot',
      { deviceNodes: [{ path: '/dev/kmsg', fileMode: 0o666 }] },
      'the device file /dev/kmsg, and proot shows .* as they are, and /dev/kmsg has another number, mode or owner',
    ],
  ] as const) {
    const dirs = describeThings(slipway, { one: device });
    const flags = ['build', '--progress=plain', `--isolation=${isolation}`, dirs, '--allow=device'];
    const ended = await slipway.run([...flags, dir]);
    assert.equal(ended.status, 1, ended.stderr);
    const message = `error: the device vendor.com/thing=one cannot be given with --isolation=${isolation}: it has .*`;
    assert.match(ended.stderr, new RegExp(message + reason));
    assert.match(ended.stderr, /Dockerfile:3\n/);
    assert.doesNotMatch(ended.stderr, executed);
  }
});

test('what a device needs and is not on this machine is an error before anything is executed', async () => {
  using slipway = registry.slipway();
  const loop = join(slipway.dir, 'loop');
  symlinkSync('loop', loop);
  const dir = busybox(slipway, 'RUN echo it runs\nRUN --device=vendor.com/thing=one true\n');
  for (const [device, reason] of [
    [{ deviceNodes: [{ path: '/dev/nope' }] }, /is not here: \/dev\/nope does not exist/],
    [{ deviceNodes: [{ path: '/dev/x', hostPath: '/etc/passwd' }] }, /\/etc\/passwd is no device file/],
    [{ deviceNodes: [{ path: '/dev/null', type: 'b' }] }, /\/dev\/null is not of type b/],
    [{ mounts: [{ hostPath: '/nope', containerPath: '/x' }] }, /is not here: \/nope does not exist/],
    [{ mounts: [{ hostPath: loop, containerPath: '/x' }] }, /loop cannot be looked at \(ELOOP\)/],
    [
      { mounts: [{ hostPath: '/dev/null', containerPath: '/x' }] },
      /neither a directory nor a file nor a socket/,
    ],
    [{ hooks: [{ hookName: 'poststop', path: '/etc/passwd' }] }, /hook \/etc\/passwd .* is no program here/],
    [{ intelRdt: {} }, /cannot be given: it has intelRdt/],
  ] as const) {
    const dirs = describeThings(slipway, { one: device });
    const ended = await slipway.run([
      ...['build', '--progress=plain', '--isolation=oci', dirs, '--allow=device', dir],
    ]);
    assert.equal(ended.status, 1, JSON.stringify(device));
    assert.match(ended.stderr, reason);
    assert.doesNotMatch(ended.stderr, executed);
  }
});

test('a Dockerfile gets no device that was not allowed, by name, class, kind, alias or its specification', async () => {
  using slipway = registry.slipway();
  const free = { 'org.mobyproject.buildkit.device.autoallow': true };
  const fast = { 'org.mobyproject.buildkit.device.class': 'fast' };
  const hooks = [{ hookName: 'createRuntime', path: '/bin/true' }];
  const dirs = describeThings(slipway, {
    ...{
      a: { env: ['A=1'], annotations: fast },
      b: { env: ['B=1'] },
      c: { env: ['C=1'], annotations: fast },
    },
    ...{ free: { env: ['FREE=1'], annotations: free }, hooked: { hooks, annotations: free } },
  });
  const build = async (device: string, ...allow: readonly string[]) => {
    const dir = busybox(
      slipway,
      `RUN --device=${device} env | grep -o "^[ABC]=1" | sort | tr -d "\\n"; echo\n`,
    );
    const flags = ['build', '--progress=plain', '--no-cache', dirs, ...allow.map(each => `--allow=${each}`)];
    const ended = await slipway.run([...flags, '--isolation=oci', dir]);
    if (ended.status === 0) return printedLines(ended.stderr)[0];
    assert.equal(ended.status, 2);
    assert.doesNotMatch(ended.stderr, /^#\d+ \d/m);
    return /^error: RUN --device=(.* was not allowed.*)$/m.exec(ended.stderr)?.[1] ?? ended.stderr;
  };
  const kind = 'vendor.com/thing';
  for (const [device, allow, expected] of [
    [`${kind}=a`, [], `${kind}=a was not allowed`],
    [`${kind}=a,required`, [`device=${kind}=b`], `${kind}=a was not allowed`],
    [`${kind}=a`, [`device=${kind}=a`], 'A=1'],
    [`${kind}=a`, ['device'], 'A=1'],
    [`${kind}=a`, [`device=${kind}=b`, `device=${kind}=*`], 'A=1'],
    [`${kind}=*`, [`device=${kind}=*`], 'A=1B=1C=1'],
    [`${kind}=*`, [`device=${kind}=a`], `${kind}=*, which means ${kind}=b, was not allowed`],
    [kind, [`device=${kind}`], 'A=1'],
    [`${kind}=b`, [`device=${kind}`], `${kind}=b was not allowed`],
    [`name=${kind}=fast`, [`device=${kind}=fast`], 'A=1C=1'],
    [`${kind}=fast`, [`device=${kind}=a`], `${kind}=fast, which means ${kind}=c, was not allowed`],
    ['gpu', [`device=${kind}=b,alias=gpu`], 'B=1'],
    [`${kind}=a`, [`device=${kind}=b,alias=${kind}=a`], 'B=1'],
    [`${kind}=free`, [], ''],
    [
      `${kind}=hooked`,
      [],
      `${kind}=hooked was not allowed: it has hooks, programs that are started on this machine`,
    ],
    [`${kind}=hooked`, [`device=${kind}=hooked`], ''],
  ] as const) {
    assert.equal(await build(device, ...allow), expected, `${device} ${allow}`);
  }
});

test('a required device that nothing describes is an error that names directories, faults and near names', async () => {
  using slipway = registry.slipway();
  const dirs = describeThings(slipway, { one: { env: ['A=1'] } });
  const dir = join(slipway.dir, 'cdi');
  writeFileSync(join(dir, 'broken.json'), '{"cdiVersion":"0.6.0","kind":"../x"}');
  writeFileSync(join(dir, 'nvidia.txt'), '');
  const build = (text: string, ...flags: readonly string[]) =>
    slipway.run(['build', '--progress=plain', ...flags, busybox(slipway, `RUN echo it runs\n${text}`)]);
  const missing = await build('RUN --device=vendor.com/thing=ome,required true\n', dirs, '--allow=device');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /error: RUN --device=vendor\.com\/thing=ome: no such device is described/);
  assert.match(missing.stderr, /Dockerfile:3\n/);
  assert.match(missing.stderr, /try: did you mean vendor\.com\/thing=one\?/);
  assert.match(missing.stderr, new RegExp(`${dir}: 2 specifications`));
  assert.match(missing.stderr, new RegExp(`${dir}/broken\\.json: kind \\.\\./x is not vendor/class`));
  assert.doesNotMatch(missing.stderr, executed);
  const usual = await build('RUN --device=vendor.com/thing=one,required=true true\n');
  assert.match(usual.stderr, /\/etc\/cdi: .*\n.*\/var\/run\/cdi: .*\n.*\/etc\/buildkit\/cdi: /);
  const noName = await build('RUN --device=gpu true\n', dirs);
  assert.match(noName.stderr, /error: RUN --device=gpu is no name of a device\n/);
  assert.match(noName.stderr, /try: write vendor\.com\/class=name/);
  const nowhere = await build('RUN true\n', '--cdi-spec-dir=/nope');
  assert.equal(nowhere.status, 2);
  assert.match(nowhere.stderr, /--cdi-spec-dir \/nope is no directory/);
});

test('a device that is not required and not described is gone without, with a warning', async () => {
  using slipway = registry.slipway();
  const dirs = describeThings(slipway, { one: { env: ['A=1'] } });
  const dir = busybox(slipway, 'RUN --device=vendor.com/thing=two echo it runs\n');
  const ended = await slipway.must(['build', '--progress=plain', dirs, dir]);
  assert.deepEqual(printedLines(ended.stderr), ['it runs']);
  assert.match(
    ended.stderr,
    /warning: RUN --device=vendor\.com\/thing=two: no such device is described on this machine, and it is not required \(.*cdi: 1 specification\)/,
  );
});

test('a device that is described in YAML, as vendors write it, is given like any other', async () => {
  using slipway = registry.slipway();
  const cdi = join(slipway.dir, 'cdi');
  mkdirSync(cdi);
  const text =
    'cdiVersion: "0.6.0"\nkind: vendor1.com/device\ndevices:\n- name: foo\n  containerEdits:\n    env:\n    - FOO=injected\n';
  writeFileSync(join(cdi, 'foo.yaml'), text);
  const dir = busybox(slipway, 'RUN --device=vendor1.com/device=foo,required echo $FOO\n');
  const ended = await slipway.must([
    'build',
    '--progress=plain',
    '--cdi-spec-dir',
    cdi,
    '--allow=device',
    dir,
  ]);
  assert.deepEqual(printedLines(ended.stderr), ['injected']);
});

test('which devices were asked for and found, and their variables, are part of the cache key', async () => {
  using slipway = registry.slipway();
  const library = join(slipway.dir, 'library');
  mkdirSync(library);
  const mounts = [{ hostPath: library, containerPath: '/lib/thing' }];
  const build = async (text: string, devices: Readonly<Record<string, Thing>>) => {
    const dirs = describeThings(slipway, devices);
    const dir = busybox(slipway, text);
    return (await slipway.must(['build', '--progress=plain', '--explain', '--allow=device', dirs, dir]))
      .stderr;
  };
  const text = 'RUN --device=vendor.com/thing=* true\n';
  await build(text, { one: { env: ['A=1'] } });
  assert.match(await build(text, { one: { env: ['A=1'] } }), /1 of 1 steps cached/);
  assert.match(await build(text, { one: { env: ['A=1'], mounts } }), /1 of 1 steps cached/);
  assert.match(await build(text, { one: { env: ['A=2'] } }), /device env A "?1"? → "?2/);
  assert.match(await build(text, { one: { env: ['A=1'] }, two: { env: ['A=1'] } }), /the device found/);
  assert.match(
    await build('RUN --device=vendor.com/thing true\n', { one: { env: ['A=1'] } }),
    /0 of 1 steps cached/,
  );
});

test('slipway build --device with a name gives every RUN the device, without more ado', async () => {
  using slipway = registry.slipway();
  const dirs = describeThings(slipway, {
    one: { env: ['ONE=1'], hooks: [{ hookName: 'prestart', path: '/bin/true' }] },
    two: { env: ['TWO=2'] },
  });
  const dir = busybox(slipway, 'RUN echo $ONE$TWO\nRUN --device=vendor.com/thing=two echo $ONE$TWO\n');
  const flags = ['build', '--progress=plain', '--isolation=oci', dirs];
  const ended = await slipway.must([
    ...[...flags, '--device=vendor.com/thing=one', '--allow=device=vendor.com/thing=two', dir],
  ]);
  assert.deepEqual(printedLines(ended.stderr), ['1', '12']);
  const missing = await slipway.run([...flags, '--device', 'vendor.com/thing=three', dir]);
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /error: --device vendor\.com\/thing=three: no such device is described/);
});

test('an OCI runtime starts the hooks of a device, with no variable of the image', async () => {
  using slipway = registry.slipway();
  const log = join(slipway.dir, 'log');
  const hook = join(slipway.dir, 'hook');
  writeFileSync(hook, `#!/bin/sh\n{ echo "$@"; env; cat; echo; } >> ${log}\n`, { mode: 0o755 });
  chmodSync(hook, 0o755);
  const dirs = describeThings(slipway, {
    one: {
      hooks: [
        { hookName: 'createContainer', path: hook, args: ['hook', 'first', '$HOME'] },
        { hookName: 'poststop', path: hook, args: ['hook', 'last'], env: ['OWN=1'], timeout: 9 },
      ],
    },
  });
  const dir = busybox(slipway, 'ENV LD_PRELOAD=/evil.so\nRUN --device=vendor.com/thing=one echo it runs\n');
  const ended = await slipway.must([
    ...['build', '--progress=plain', '--isolation=oci', dirs, '--allow=device=vendor.com/thing=one', dir],
  ]);
  assert.match(ended.stderr, /it runs/);
  const said = readFileSync(log, 'utf8');
  const order = ['first $HOME', '"status":"creat', 'last', 'OWN=1', '"status":"stopped"'];
  assert.deepEqual(
    order.map(text => said.indexOf(text)).filter(at => at >= 0),
    order.map(text => said.indexOf(text)).sort((a, b) => a - b),
    said,
  );
  assert.doesNotMatch(said, /LD_PRELOAD/);
});

test('an ordinary user is given device files of this machine, and told which would have to be made', async () => {
  using user = somebody('subordinate ids');
  using _ = { [Symbol.dispose]: () => rmSync(user.home, { recursive: true, force: true }) };
  const registries = join(user.home, 'registries.conf');
  copyFileSync(registry.registriesConf, registries);
  chmodSync(registries, 0o644);
  const dir = join(user.home, 'context');
  mkdirSync(dir);
  writeFileSync(
    join(dir, 'Dockerfile'),
    'FROM busybox\nUSER 1000\nRUN --device=vendor.com/thing=one test -c /dev/thing && echo x > /dev/thing && echo device $A\n',
  );
  const build = (device: Thing) =>
    run(
      user.wrap([
        ...[process.execPath, join(repoRoot, 'bin/slipway.js'), '--root', join(user.home, 'store'), 'build'],
        ...['--progress=plain', describeThings({ dir: user.home }, { one: device }), '--allow=device', dir],
      ]),
      { env: { CONTAINERS_REGISTRIES_CONF: registries } },
    );
  const path = '/dev/thing';
  const ended = await build({
    env: ['A=1'],
    deviceNodes: [{ path, hostPath: '/dev/null', uid: 0, fileMode: 0o666 }],
  });
  assert.equal(ended.status, 0, ended.stderr);
  assert.deepEqual(printedLines(ended.stderr), ['device 1']);
  for (const [node, reason] of [
    [{ path, hostPath: '/dev/null', type: 'c', major: 1, minor: 5 }, /may not make device files here/],
    [{ path, type: 'c', major: 1, minor: 5 }, /\/dev\/thing does not exist/],
  ] as const) {
    const refused = await build({ deviceNodes: [node] });
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, reason);
  }
});

test('slipway info lists the devices that are described, and what is wrong with a description', async () => {
  using slipway = registry.slipway();
  const dirs = describeThings(slipway, {
    one: { env: ['A=1'] },
    two: { env: ['A=1'], annotations: { 'org.mobyproject.buildkit.device.autoallow': 'true' } },
  });
  const dir = join(slipway.dir, 'cdi');
  writeFileSync(join(dir, 'broken.json'), '{');
  const text = (await slipway.must(['info', dirs])).stdout;
  assert.match(text, new RegExp(`^device     vendor.com/thing=one \\(${dir}/thing.json\\)$`, 'm'));
  assert.match(
    text,
    new RegExp(`^device     vendor.com/thing=two \\(${dir}/thing.json, needs no --allow\\)$`, 'm'),
  );
  assert.match(text, new RegExp(`^device     ${dir}/broken.json: it is no JSON`, 'm'));
  const { devices } = JSON.parse((await slipway.must(['info', '--json', dirs])).stdout);
  assert.deepEqual(devices, [
    { name: 'vendor.com/thing=one', file: join(dir, 'thing.json'), allowed: false },
    { name: 'vendor.com/thing=two', file: join(dir, 'thing.json'), allowed: true },
  ]);
});
