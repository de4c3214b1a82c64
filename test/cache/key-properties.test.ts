// Equal ingredients give equal keys; each single change of an ingredient, and of nothing else, gives another key.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type SelectedFile, selectionDigest } from '../../src/cache/checksum.ts';
import {
  copyContentKey,
  type MountInputs,
  type RunSettings,
  runKey,
  type StateId,
} from '../../src/cache/key.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { CopyStep, MountSpec, RunStep } from '../../src/plan/steps.ts';
import { bytePath, type Entry } from '../../src/tree/entry.ts';

interface Ingredients {
  state: string;
  argv: string[];
  env: Record<string, string>;
  workdir: string;
  user: string;
  network: 'host' | 'none';
  security: 'sandbox' | 'insecure';
  hosts: [string, string][];
  bind: string;
  cacheId: string;
  secretId: string;
}

const text = fc.string({ minLength: 1, maxLength: 12 });
const name = fc.stringMatching(/^[A-Z_]{1,8}$/);

const ingredients: fc.Arbitrary<Ingredients> = fc.record({
  state: text,
  argv: fc.array(text, { minLength: 1, maxLength: 4 }),
  env: fc.dictionary(name, fc.string({ maxLength: 12 }), { maxKeys: 5, noNullPrototype: true }),
  workdir: text,
  user: text,
  network: fc.constantFrom('host' as const, 'none' as const),
  security: fc.constantFrom('sandbox' as const, 'insecure' as const),
  hosts: fc.array(fc.tuple(name, text), { maxLength: 2 }),
  bind: text,
  cacheId: text,
  secretId: text,
});

interface Noise {
  readonly line: number;
  readonly display: string;
  readonly hiddenEnv: readonly string[];
  readonly reversed: boolean;
}

const noise: fc.Arbitrary<Noise> = fc.record({
  line: fc.nat(500),
  display: text,
  hiddenEnv: fc.array(text, { maxLength: 2 }),
  reversed: fc.boolean(),
});

const scratch = { kind: 'scratch' } as const;

function keyOf(given: Ingredients, around: Noise): string {
  const env = Object.entries(given.env).map(([key, value]) => `${key}=${value}`);
  const mounts: MountSpec[] = [
    { type: 'bind', from: { kind: 'context' }, source: '/', target: '/src', writable: false },
    {
      type: 'cache',
      id: given.cacheId,
      target: '/c',
      sharing: 'shared',
      from: scratch,
      source: '/',
      mode: 0o755,
      uid: 0,
      gid: 0,
      readonly: false,
    },
    {
      type: 'secret',
      id: given.secretId,
      target: '/run/secrets/s',
      required: true,
      mode: 0o400,
      uid: 0,
      gid: 0,
    },
  ];
  const place = { line: around.line + 1, column: 0 };
  const step: RunStep = {
    id: `0.${around.line}`,
    stage: 0,
    range: { file: { name: 'Dockerfile', text: '' }, start: place, end: place },
    display: around.display,
    createdBy: around.display,
    config: {},
    kind: 'run',
    argv: given.argv,
    env: around.reversed ? env.reverse() : env,
    hiddenEnv: around.hiddenEnv,
    workdir: given.workdir,
    user: given.user,
    mounts,
    network: 'default',
    security: given.security,
    devices: [],
  };
  const settings: RunSettings = {
    platform: { os: 'linux', architecture: 'amd64' },
    network: given.network,
    extraHosts: given.hosts,
  };
  const inputs: MountInputs = new Map([['/src', digestOf(given.bind)]]);
  return runKey(digestOf(given.state) as unknown as StateId, step, inputs, settings).key;
}

describe('the key of a RUN', () => {
  it('is equal for equal ingredients, whatever is around them', () => {
    fc.assert(
      fc.property(ingredients, noise, noise, (given, a, b) => {
        assert.equal(keyOf(given, a), keyOf(structuredClone(given), b));
      }),
    );
  });

  it('changes with each single ingredient', () => {
    fc.assert(
      fc.property(ingredients, ingredients, noise, (given, other, around) => {
        for (const part of Object.keys(given) as (keyof Ingredients)[]) {
          const changed = { ...given, [part]: other[part] };
          const isSame = JSON.stringify(sorted(given[part])) === JSON.stringify(sorted(other[part]));
          assert.equal(keyOf(changed, around) === keyOf(given, around), isSame, part);
        }
      }),
    );
  });
});

/** Objects in one order of their names. */
function sorted(value: unknown): unknown {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    : value;
}

interface FileParts {
  path: string;
  mode: number;
  content: string;
  type: 'file' | 'symlink' | 'directory';
  target: string;
}

const file: fc.Arbitrary<FileParts> = fc.record({
  path: fc.stringMatching(/^[a-z]{1,6}$/),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  content: text,
  type: fc.constantFrom('file' as const, 'symlink' as const, 'directory' as const),
  target: text,
});

function copyKey(files: readonly FileParts[], mtimeSec: number, change: Partial<CopyStep> = {}): string {
  const selected = files.map((parts): SelectedFile => {
    const entry: Entry = {
      path: bytePath(parts.path),
      type: parts.type,
      mode: parts.mode,
      uid: 0,
      gid: 0,
      mtimeSec,
      mtimeNsec: 0,
      size: parts.content.length,
      ...(parts.type === 'symlink' ? { linkTarget: parts.target } : {}),
    };
    return {
      path: entry.path,
      entry,
      ...(parts.type === 'file' ? { content: digestOf(parts.content) } : {}),
    };
  });
  const place = { line: 1, column: 0 };
  const step: CopyStep = {
    id: '0.1',
    stage: 0,
    range: { file: { name: 'Dockerfile', text: '' }, start: place, end: place },
    display: 'COPY . /',
    createdBy: '',
    config: {},
    kind: 'copy',
    instruction: 'COPY',
    from: { kind: 'context' },
    items: [],
    dest: '/',
    link: false,
    parents: false,
    excludes: [],
    keepGitDir: false,
    unpack: 'never',
    ...change,
  };
  return copyContentKey(
    digestOf('state') as unknown as StateId,
    step,
    selectionDigest(selected, { owners: false }),
  ).key;
}

describe('the key of a COPY', () => {
  const files = fc.uniqueArray(file, { selector: parts => parts.path, minLength: 1, maxLength: 5 });

  it('does not depend on times or on the order in which files are found', () => {
    fc.assert(
      fc.property(files, fc.nat(), fc.nat(), (given, a, b) => {
        assert.equal(copyKey(given, a), copyKey([...given].reverse(), b));
      }),
    );
  });

  it('changes with path, mode, content, type and link target of each file', () => {
    fc.assert(
      fc.property(files, file, fc.nat(), (given, other, index) => {
        const at = index % given.length;
        const old = given[at] ?? other;
        for (const part of ['path', 'mode', 'content', 'type', 'target'] as const) {
          if (part === 'path' && given.some(each => each.path === other.path)) continue;
          const counts = {
            path: true,
            type: true,
            mode: old.type !== 'symlink',
            content: old.type === 'file',
            target: old.type === 'symlink',
          }[part];
          const changed = given.map((each, i) => (i === at ? { ...each, [part]: other[part] } : each));
          const isSame = !counts || old[part] === other[part];
          assert.equal(copyKey(changed, 0) === copyKey(given, 0), isSame, part);
        }
      }),
    );
  });

  it('changes with destination and flags', () => {
    const one: FileParts[] = [{ path: 'a', mode: 0o644, content: 'x', type: 'file', target: '' }];
    const changes: Partial<CopyStep>[] = [
      {},
      { dest: '/b' },
      { chown: '1' },
      { chmod: '1' },
      { link: true },
      { unpack: 'always' },
      { keepGitDir: true },
    ];
    const keys = changes.map(change => copyKey(one, 0, change));
    assert.equal(new Set(keys).size, changes.length);
  });
});
