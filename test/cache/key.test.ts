import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  baseState,
  cacheKey,
  copyContentKey,
  copyRecipeKey,
  differences,
  nextState,
  runKey,
  workdirKey,
} from '../../src/cache/key.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { CopyStep, MountSpec, RunStep, WorkdirStep } from '../../src/plan/steps.ts';

const range = {
  file: { name: 'Dockerfile', text: '' },
  start: { line: 1, column: 0 },
  end: { line: 1, column: 0 },
};
const common = { id: '0.0', stage: 0, range, display: 'x', createdBy: 'x', config: {} };
const state = baseState([digestOf('base')]);
const settings = {
  platform: { os: 'linux', architecture: 'amd64' },
  network: 'host',
  extraHosts: [],
} as const;

const run: RunStep = {
  ...common,
  kind: 'run',
  argv: ['/bin/sh', '-c', 'make'],
  env: ['PATH=/bin', 'A=1'],
  hiddenEnv: [],
  workdir: '/',
  user: '',
  mounts: [],
  network: 'default',
  security: 'sandbox',
  devices: [],
};

const copy: CopyStep = {
  ...common,
  kind: 'copy',
  instruction: 'COPY',
  from: { kind: 'context' },
  items: [{ kind: 'path', path: 'src', range }],
  dest: '/app/',
  link: false,
  parents: false,
  excludes: [],
  keepGitDir: false,
  unpack: 'never',
};

const bind: MountSpec = {
  type: 'bind',
  from: { kind: 'context' },
  source: '',
  target: '/src',
  writable: false,
};
const secret: MountSpec = {
  type: 'secret',
  id: 'token',
  target: '/run/secrets/token',
  required: false,
  mode: 0o400,
  uid: 0,
  gid: 0,
};
const cache: MountSpec = {
  type: 'cache',
  id: 'c',
  target: '/cache',
  sharing: 'shared',
  from: { kind: 'scratch' },
  source: '',
  mode: 0o755,
  uid: 0,
  gid: 0,
  readonly: false,
};

const keyOfRun = (change: Partial<RunStep> = {}, inputs = new Map(), more: object = {}) =>
  runKey(state, { ...run, ...change }, inputs, { ...settings, ...more }).key;

describe('the encoding of a key', () => {
  it('tells apart parts that would be equal when they were only joined', () => {
    const lists = [
      [['ab', 'c']],
      [['a', 'bc']],
      [
        ['a', 'b'],
        ['c', ''],
      ],
      [
        ['a', ''],
        ['b', 'c'],
      ],
      [['a1:b', 'c']],
      [['a', '1:b1:c']],
    ];
    const keys = lists.map(list => cacheKey(list.map(([name = '', value = '']) => ({ name, value }))));
    assert.equal(new Set(keys).size, lists.length);
  });

  it('is the one that earlier versions wrote', () => {
    // When this fails the encoding changed: raise keyVersion.
    assert.equal(cacheKey([{ name: 'kind', value: 'ü' }]), digestOf('slipway step v1\n4:kind2:ü'));
  });
});

describe('the state of a stage', () => {
  it('depends on the layers and on their order alone', () => {
    const [a, b] = [digestOf('a'), digestOf('b')];
    assert.equal(nextState(baseState([a]), b), baseState([a, b]));
    assert.notEqual(baseState([a, b]), baseState([b, a]));
    assert.notEqual(baseState([]), baseState([a]));
  });

  it('stays the same after a step that changed nothing', () => {
    assert.equal(nextState(state, null), state);
    assert.equal(nextState(state, undefined), state);
  });
});

describe('the key of a RUN', () => {
  it('changes with everything that the command can see', () => {
    const inputs = new Map([['/src', digestOf('1')]]);
    const keys = [
      keyOfRun(),
      runKey(baseState([]), run, new Map(), settings).key,
      keyOfRun({ argv: ['/bin/sh', '-c', 'make all'] }),
      keyOfRun({ argv: ['/bin/sh', '-c', 'make', ''] }),
      keyOfRun({ env: ['PATH=/bin', 'A=2'] }),
      keyOfRun({ env: ['PATH=/bin'] }),
      keyOfRun({ script: { name: 'EOF', text: '#!/bin/sh\n' } }),
      keyOfRun({ script: { name: 'EOF', text: '#!/bin/bash\n' } }),
      keyOfRun({ workdir: '/app' }),
      keyOfRun({ user: 'app' }),
      keyOfRun({ security: 'insecure' }),
      keyOfRun({ devices: [{ name: 'x', required: false }] }),
      keyOfRun({ hostname: 'x' }),
      keyOfRun({ mounts: [bind] }, inputs),
      keyOfRun({ mounts: [bind] }, new Map([['/src', digestOf('2')]])),
      keyOfRun({ mounts: [{ ...bind, writable: true }] }, inputs),
      keyOfRun({ mounts: [{ ...bind, target: '/other' }] }, new Map([['/other', digestOf('1')]])),
      keyOfRun({ mounts: [secret] }),
      keyOfRun({ mounts: [{ ...secret, id: 'other' }] }),
      keyOfRun({ mounts: [cache] }),
      keyOfRun({ mounts: [{ ...cache, id: 'other' }] }),
      keyOfRun({}, new Map(), { network: 'none' }),
      keyOfRun({}, new Map(), { platform: { os: 'linux', architecture: 'arm64' } }),
      keyOfRun({}, new Map(), { extraHosts: [['a', '1.2.3.4']] }),
      keyOfRun({}, new Map(), { extraHosts: [['a', '1.2.3.5']] }),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });

  it('does not change with what the command cannot see', () => {
    const other = { ...range, start: { line: 9, column: 3 } };
    assert.equal(keyOfRun({ hiddenEnv: ['HTTP_PROXY=http://p'] }), keyOfRun());
    assert.equal(keyOfRun({ range: other, id: '3.4', stage: 3, display: 'y', createdBy: 'z' }), keyOfRun());
    assert.equal(keyOfRun({ env: ['A=1', 'PATH=/bin'] }), keyOfRun());
    assert.equal(keyOfRun({ env: ['A=0', 'PATH=/bin', 'A=1'] }), keyOfRun());
    assert.equal(keyOfRun({ mounts: [{ ...cache, sharing: 'locked' }] }), keyOfRun({ mounts: [cache] }));
  });
});

describe('the key of a COPY', () => {
  const content = digestOf('content');

  it('follows the content and not the words of the sources', () => {
    const renamed: CopyStep = { ...copy, items: [{ kind: 'path', path: './src/', range }] };
    assert.equal(copyContentKey(state, copy, content).key, copyContentKey(state, renamed, content).key);
    assert.notEqual(
      copyContentKey(state, copy, content).key,
      copyContentKey(state, copy, digestOf('other')).key,
    );
  });

  it('changes with every flag that shapes the layer', () => {
    const steps: Partial<CopyStep>[] = [
      {},
      { dest: '/app' },
      { chown: '1' },
      { chmod: '755' },
      { link: true },
      { unpack: 'auto' },
      { keepGitDir: true },
    ];
    const keys = steps.map(change => copyContentKey(state, { ...copy, ...change }, content).key);
    assert.equal(new Set(keys).size, keys.length);
  });

  it('with --link does not depend on what is below', () => {
    const linked = { ...copy, link: true };
    const elsewhere = baseState([]);
    assert.equal(copyContentKey(state, linked, content).key, copyContentKey(elsewhere, linked, content).key);
    assert.notEqual(copyContentKey(state, copy, content).key, copyContentKey(elsewhere, copy, content).key);
  });

  it('from another stage follows its words and that stage before anything is read', () => {
    const recipe = (change: Partial<CopyStep>, source = 'stage one') =>
      copyRecipeKey(state, source, { ...copy, ...change }).key;
    const keys = [
      recipe({}),
      recipe({}, 'stage two'),
      recipe({ items: [{ kind: 'path', path: 'lib', range }] }),
      recipe({ excludes: ['*.md'] }),
      recipe({ parents: true }),
      recipe({ dest: '/x' }),
      recipe({ items: [{ kind: 'inline', name: 'src', text: '' }] }),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });
});

describe('the key of a WORKDIR', () => {
  const workdir: WorkdirStep = { ...common, kind: 'workdir', path: '/app', user: '' };

  it('follows path, owner and state', () => {
    const keys = [
      workdirKey(state, workdir).key,
      workdirKey(state, { ...workdir, path: '/app2' }).key,
      workdirKey(state, { ...workdir, user: 'app' }).key,
      workdirKey(baseState([]), workdir).key,
    ];
    assert.equal(new Set(keys).size, 4);
  });
});

describe('what differs between two keys', () => {
  it('is named part by part', () => {
    const before = runKey(state, run, new Map(), settings).parts;
    const changed = { ...run, env: ['PATH=/bin', 'A=2', 'B=3'] };
    assert.deepEqual(differences(before, runKey(state, changed, new Map(), settings).parts), [
      { name: 'env A', before: '1', after: '2' },
      { name: 'env B', before: undefined, after: '3' },
    ]);
    assert.deepEqual(differences(before, before), []);
  });
});
