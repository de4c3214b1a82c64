// Specifications of the Container Device Interface: what is read out of them, and what is wrong with hostile ones.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { givenDevices } from '../../src/sandbox/cdi/edits.ts';
import { findCdiDevices } from '../../src/sandbox/cdi/find.ts';
import { parseDeviceName } from '../../src/sandbox/cdi/names.ts';
import { Fault, readSpecification } from '../../src/sandbox/cdi/specification.ts';
import { must } from '../support/program.ts';
import { tempDir } from '../support/rootfs.ts';

const spec = (containerEdits: unknown, change: object = {}) => ({
  cdiVersion: '0.6.0',
  kind: 'vendor.com/gpu',
  devices: [{ name: 'one', containerEdits }],
  ...change,
});

const editsOf = (containerEdits: unknown) => {
  const [device] = readSpecification(spec(containerEdits), '/x.json');
  assert.ok(device);
  return device.edits;
};

test('names are vendor/class, with = a device, a class of devices, all of them or the first', () => {
  for (const [text, expected] of [
    ['vendor.com/gpu=0', { kind: 'vendor.com/gpu', name: '0' }],
    ['vendor.com/gpu=GPU-1:2.a_b', { kind: 'vendor.com/gpu', name: 'GPU-1:2.a_b' }],
    ['vendor.com/gpu=*', { kind: 'vendor.com/gpu', name: '*' }],
    ['vendor.com/gpu', { kind: 'vendor.com/gpu', name: '' }],
    ['v/c=n', { kind: 'v/c', name: 'n' }],
    ...['gpu', '', '/dev/kmsg', 'a/b/c=d', '1a/b=c', 'a/b-=c', 'a/b=c-', 'a/b=c d', 'a/b=../c', '../b=c'].map(
      name => [name, undefined] as const,
    ),
  ] as const) {
    assert.deepEqual(parseDeviceName(text), expected, text);
  }
});

test('a specification says what its devices need', () => {
  const edits = editsOf({
    env: ['A=1', 'B=x=y'],
    deviceNodes: [
      { path: '/dev/plain' },
      {
        ...{ path: '/dev/./full/', hostPath: '/dev/other', type: 'b', major: 7, minor: 1 },
        ...{ fileMode: 0o60640, permissions: 'rw', uid: 5, gid: 6 },
      },
      { path: '/dev/unread', type: 'u', permissions: 'none' },
    ],
    mounts: [
      {
        hostPath: '/lib',
        containerPath: '/opt/lib/',
        options: ['ro', 'nosuid', 'nodev', 'rbind', 'rprivate'],
      },
      { hostPath: '/run/s', containerPath: '/run/s', type: 'bind', options: ['bind', 'noexec'] },
    ],
    hooks: [{ hookName: 'createContainer', path: '/bin/h', args: ['h', 'x'], env: ['E=1'], timeout: 3 }],
    additionalGids: [0, 44],
    intelRdt: null,
  });
  assert.deepEqual(edits, {
    env: ['A=1', 'B=x=y'],
    nodes: [
      { path: '/dev/plain', hostPath: '/dev/plain', access: 'rwm' },
      {
        ...{ path: '/dev/full', hostPath: '/dev/other', type: 'b', access: 'rw' },
        ...{ numbers: { type: 'b', major: 7, minor: 1 }, mode: 0o640, uid: 5, gid: 6 },
      },
      { path: '/dev/unread', hostPath: '/dev/unread', type: 'c', access: '' },
    ],
    mounts: [
      { source: '/lib', target: '/opt/lib', readonly: true, noexec: false },
      { source: '/run/s', target: '/run/s', readonly: false, noexec: true },
    ],
    hooks: [{ name: 'createContainer', path: '/bin/h', args: ['h', 'x'], env: ['E=1'], timeout: 3 }],
    groups: [44],
    others: [],
  });
});

describe('a specification is refused', () => {
  const node = (fields: object) => spec({ deviceNodes: [{ path: '/dev/x', ...fields }] });
  const mount = (fields: object) => spec({ mounts: [{ hostPath: '/a', containerPath: '/b', ...fields }] });
  const hook = (fields: object) => spec({ hooks: [{ hookName: 'poststop', path: '/a', ...fields }] });
  const cases: readonly (readonly [unknown, RegExp])[] = [
    [[], /it holds no object/],
    [null, /it holds no object/],
    [spec({}, { cdiVersion: '2.0.0' }), /cdiVersion 2\.0\.0 is not known here/],
    [spec({}, { cdiVersion: '0.1.0' }), /cdiVersion 0\.1\.0 is not known here/],
    [spec({}, { cdiVersion: undefined }), /cdiVersion is no text/],
    [spec({}, { kind: '../etc/passwd' }), /kind \.\.\/etc\/passwd is not vendor\/class/],
    [spec({}, { kind: 'a/b=c' }), /is not vendor\/class/],
    [spec({}, { containerEdit: {} }), /it has a field containerEdit, which is not known here/],
    [spec({}, { devices: {} }), /devices is no list/],
    [spec({}, { devices: [] }), /it has no devices/],
    [spec({}, { devices: [{ name: 'a/b' }] }), /devices\[0\]\.name a\/b is no name/],
    [spec({}, { devices: [{ name: 'a' }, { name: 'a' }] }), /two devices vendor\.com\/gpu=a/],
    [spec({}, { annotations: { a: {} } }), /annotations\.a is no text/],
    [spec({ deviceNode: [] }), /containerEdits has a field deviceNode, which is not known here/],
    [spec({ env: ['NOTHING'] }), /env\[0\] NOTHING is not NAME=value/],
    [spec({ env: ['=x'] }), /is not NAME=value/],
    [spec({ env: ['A=\0'] }), /has a zero byte in it/],
    [spec({ env: 'A=1' }), /env is no list/],
    [node({ path: '/dev/../etc/passwd' }), /path \/dev\/\.\.\/etc\/passwd has \.\. in it/],
    [node({ path: 'dev/x' }), /is not absolute/],
    [node({ path: '/dev/x\0y' }), /has a zero byte/],
    [node({ path: `/${'x'.repeat(5000)}` }), /is longer than 4095 bytes/],
    [node({ path: '/proc/x' }), /nothing can be put there/],
    [node({ path: '//' }), /nothing can be put there/],
    [node({ path: '/dev/.' }), /nothing can be put there/],
    [node({ hostPath: '/dev/../x' }), /hostPath .* has \.\. in it/],
    [node({ type: 'p' }), /type p is neither c nor b/],
    [node({ type: 'c', major: -1 }), /major is no whole number/],
    [node({ type: 'c', major: 4096 }), /major is no whole number from 0 to 4095/],
    [node({ type: 'c', major: 1.5 }), /major is no whole number/],
    [node({ permissions: 'rwx' }), /permissions rwx is not made of r, w and m/],
    [node({ uid: -1 }), /uid is no whole number/],
    [node({ fileMode: '0666' }), /fileMode is no whole number/],
    [mount({ containerPath: '/a/../../b' }), /containerPath .* has \.\. in it/],
    [mount({ containerPath: '/' }), /nothing can be put there/],
    [mount({ containerPath: '/sys/fs' }), /nothing can be put there/],
    [mount({ containerPath: '/dev' }), /nothing can be put there/],
    [mount({ hostPath: 'lib' }), /hostPath lib is not absolute/],
    [mount({ type: 'tmpfs' }), /type tmpfs is not supported/],
    [mount({ options: ['shared'] }), /options: shared is not supported/],
    [hook({ hookName: 'whenever' }), /hookName whenever is not known/],
    [hook({ path: 'sh' }), /path sh is not absolute/],
    [hook({ args: [1] }), /args\[0\] is no text/],
    [hook({ timeout: -1 }), /timeout is no whole number/],
    [spec({ env: ['\u001b[31mred'] }), /env\[0\] \\u001b\[31mred is not/],
  ];
  for (const [value, message] of cases) {
    test(`that says ${JSON.stringify(value)?.slice(0, 150)}`, () => {
      assert.throws(
        () => readSpecification(value, '/x.json'),
        error => error instanceof Fault && message.test(error.message),
      );
    });
  }
});

test('several devices are put together: edits of a specification once, of two with one place the later', () => {
  const devices = readSpecification(
    {
      cdiVersion: '0.7.0',
      kind: 'v/c',
      containerEdits: { env: ['ALL=1'], deviceNodes: [{ path: '/dev/all' }] },
      devices: [
        {
          name: 'a',
          containerEdits: { env: ['A=1'], deviceNodes: [{ path: '/dev/x', hostPath: '/dev/a' }] },
        },
        { name: 'b', containerEdits: { deviceNodes: [{ path: '/dev/x', hostPath: '/dev/b' }] } },
      ],
    },
    '/x.json',
  );
  const given = givenDevices([...devices, ...devices]);
  assert.deepEqual(given.names, ['v/c=a', 'v/c=b']);
  assert.deepEqual(given.env, ['ALL=1', 'A=1']);
  assert.deepEqual(
    given.nodes.map(({ device, path, hostPath }) => [device, path, hostPath]),
    [
      ['v/c=a', '/dev/all', '/dev/all'],
      ['v/c=b', '/dev/x', '/dev/b'],
    ],
  );
});

test('a device that needs what slipway cannot give is refused when it is asked for', () => {
  for (const edits of [
    { intelRdt: { closID: 'x' } },
    { netDevices: [{ hostInterfaceName: 'eth0', name: 'e' }] },
  ]) {
    assert.throws(() => givenDevices(readSpecification(spec(edits), '/x.json')), {
      code: 'unsupported',
      message: `the device vendor.com/gpu=one cannot be given: it has ${Object.keys(edits)[0]}`,
    });
  }
});

test('directories are read in their order: a later one counts more, two files of one directory dispute', async () => {
  using temp = tempDir();
  const dirs = ['static', 'dynamic'].map(name => join(temp.path, name));
  for (const dir of dirs) mkdirSync(dir);
  const write = (dir: string | undefined, name: string, devices: Record<string, string>) =>
    writeFileSync(
      join(dir ?? '', name),
      JSON.stringify({
        ...{ cdiVersion: '0.6.0', kind: 'v/c' },
        devices: Object.entries(devices).map(([each, env]) => ({
          name: each,
          containerEdits: { env: [env] },
        })),
      }),
    );
  write(dirs[0], 'a.json', { b: 'FROM=static', a: 'FROM=static', c: 'FROM=static' });
  write(dirs[1], 'a.json', { b: 'FROM=dynamic', c: 'FROM=dynamic' });
  write(dirs[1], 'b.json', { c: 'FROM=other' });
  write(dirs[1], 'no-specification.txt', { d: 'FROM=text' });
  mkdirSync(join(dirs[1] ?? '', 'below'));
  write(join(dirs[1] ?? '', 'below'), 'e.json', { e: 'FROM=below' });
  const { devices, searched, faults } = await findCdiDevices([...dirs, join(temp.path, 'nope')]);
  assert.deepEqual(
    [...devices].map(([name, { edits }]) => [name, edits.env[0]]),
    [
      ['v/c=a', 'FROM=static'],
      ['v/c=b', 'FROM=dynamic'],
    ],
  );
  assert.deepEqual(searched, [
    `${dirs[0]}: 1 specification`,
    `${dirs[1]}: 2 specifications`,
    `${temp.path}/nope: does not exist`,
  ]);
  assert.deepEqual(faults, [`v/c=c is in ${dirs[1]}/a.json and in ${dirs[1]}/b.json: in neither`]);
});

test('a file that is no specification is noted and hides no other', async () => {
  using temp = tempDir();
  const at = (name: string) => join(temp.path, name);
  const good = JSON.stringify(spec({ env: ['A=1'] }));
  writeFileSync(at('good'), good);
  symlinkSync('good', at('link.json'));
  symlinkSync('nowhere', at('dangling.json'));
  symlinkSync('/dev/zero', at('device.json'));
  symlinkSync('loop.json', at('loop.json'));
  mkdirSync(at('directory.json'));
  await must(['mkfifo', at('pipe.json')]);
  writeFileSync(at('huge.json'), good);
  truncateSync(at('huge.json'), 5 << 20);
  writeFileSync(at('deep.json'), '['.repeat(1 << 20));
  writeFileSync(at('latin1.json'), Buffer.from('{"kind":"\xe9"}', 'latin1'));
  writeFileSync(at('fault.json'), '{}');
  writeFileSync(at('open.json'), good);
  chmodSync(at('open.json'), 0o666);
  const { devices, faults } = await findCdiDevices([temp.path]);
  assert.deepEqual([...devices.keys()], ['vendor.com/gpu=one']);
  const said = faults.map(note => note.replace(`${temp.path}/`, '').replace(/ \(.*\)$/, ''));
  assert.deepEqual(said, [
    'dangling.json: ENOENT',
    'deep.json: it is no JSON',
    'device.json: it is no file',
    'directory.json: it is no file',
    'fault.json: cdiVersion is no text',
    'huge.json: it has more than 4 MiB',
    'latin1.json: it is no UTF-8',
    'loop.json: ELOOP',
    'open.json: anybody may write to it',
    'pipe.json: it is no file',
  ]);
  chmodSync(temp.path, 0o777);
  assert.deepEqual(await findCdiDevices([temp.path]), {
    devices: new Map(),
    searched: [],
    faults: [`${temp.path}: not read, anybody may write there`],
  });
});

test('a specification may be YAML, with the numbers of version 1.1', async () => {
  using temp = tempDir();
  writeFileSync(
    join(temp.path, 'vendor.yaml'),
    [
      '# by hand',
      '---',
      'cdiVersion: 0.6.0',
      'kind: vendor.com/gpu',
      'annotations: {org.mobyproject.buildkit.device.autoallow: true}',
      'containerEdits:',
      '  env:',
      '  - VISIBLE=void',
      'devices:',
      '- name: 0',
      '  containerEdits: &first',
      '    deviceNodes:',
      '    - {path: /dev/gpu0, type: c, major: 195, minor: 0, fileMode: 0660, permissions: "rw"}',
      "- name: '1:0'",
      '  containerEdits: *first',
      '',
    ].join('\n'),
  );
  writeFileSync(join(temp.path, 'other.yml'), '');
  const { devices, faults } = await findCdiDevices([temp.path]);
  assert.deepEqual([...devices.keys()], ['vendor.com/gpu=0', 'vendor.com/gpu=1:0']);
  const device = devices.get('vendor.com/gpu=1:0');
  assert.equal(device?.annotations.get('org.mobyproject.buildkit.device.autoallow'), 'true');
  assert.deepEqual(device?.common.env, ['VISIBLE=void']);
  assert.deepEqual(device?.edits.nodes, [
    {
      ...{ path: '/dev/gpu0', hostPath: '/dev/gpu0', type: 'c', mode: 0o660, access: 'rw' },
      numbers: { type: 'c', major: 195, minor: 0 },
    },
  ]);
  assert.equal(faults[0], `${temp.path}/other.yml: not read, its name ends in .yml`);
});

test('a specification of very many devices is read', () => {
  const devices = Array.from({ length: 100_000 }, (_, i) => ({ name: `d${i}`, containerEdits: {} }));
  assert.equal(readSpecification(spec({}, { devices }), '/x.json').length, devices.length);
  const twice = [...devices, { name: 'd7', containerEdits: {} }];
  assert.throws(
    () => readSpecification(spec({}, { devices: twice }), '/x.json'),
    /two devices vendor.com\/gpu=d7/,
  );
});

test('YAML that does not end, is two documents or has a key twice is no specification', async () => {
  using temp = tempDir();
  const laugh = (depth: number): string =>
    depth === 0
      ? 'a0: &a0 [x]\n'
      : `${laugh(depth - 1)}a${depth}: &a${depth} [${`*a${depth - 1},`.repeat(20)}]\n`;
  const files = {
    'bomb.yaml': laugh(8),
    'deep.yaml': '['.repeat(1 << 20),
    'dashes.yaml': '- '.repeat(100_000),
    'wide.yaml': Array.from({ length: 150_000 }, (_, i) => `k${i}: ${i}\n`).join(''),
    'documents.yaml': 'kind: a/b\n---\nkind: a/b\n',
    'tab.yaml': 'kind: a/b\ndevices:\n\t- name: x\n',
    'twice.yaml': 'kind: a/b\nkind: a/c\n',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(temp.path, name), text);
  writeFileSync(join(temp.path, 'proto.yaml'), '__proto__: {kind: a/b}\ncdiVersion: 0.6.0\n');
  const { devices, faults } = await findCdiDevices([temp.path]);
  assert.equal(devices.size, 0);
  for (const name of Object.keys(files)) {
    assert.ok(
      faults.some(note => note.startsWith(`${temp.path}/${name}: it is no YAML (`)),
      `${name}: ${faults.join('\n')}`,
    );
  }
  assert.ok(
    faults.includes(`${temp.path}/proto.yaml: it has a field __proto__, which is not known here`),
    faults.join('\n'),
  );
});
