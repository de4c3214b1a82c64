// Records of several machines as one list: what is kept, what is left out, and which result is taken.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CacheKey, cacheKey, nextState, type StateId } from '../../src/cache/key.ts';
import {
  draftOf,
  noRecords,
  type RemoteRecord,
  type RemoteRecords,
  readRecords,
  splitParts,
} from '../../src/cache/remote-format.ts';
import { defaultBounds, Graph, isNews, mergeRecords } from '../../src/cache/remote-merge.ts';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';

const day = 86_400_000;
const now = Date.parse('2030-01-31T00:00:00Z');
const base = digestOf('base') as StateId;

interface Step {
  readonly on: StateId;
  readonly command: string;
  /** Differs from machine to machine; absent: the step changed nothing. */
  readonly result?: string;
  readonly daysAgo?: number;
}

function record({ on, command, result, daysAgo = 0 }: Step): RemoteRecord {
  const parts = [
    { name: 'kind', value: 'run' },
    { name: 'state', value: on },
    { name: 'argv', value: command },
  ];
  const split = splitParts(parts);
  assert.ok(split);
  const at = new Date(now - daysAgo * day).toISOString();
  return {
    key: cacheKey(parts),
    ...split,
    layer:
      result === undefined
        ? null
        : {
            id: `tree:${result}`,
            diffId: digestOf(result),
            blob: { mediaType: mediaTypes.ociLayerGzip, digest: digestOf(`gz ${result}`), size: 7 },
          },
    createdAt: at,
    usedAt: at,
    durationMs: 1,
    display: `RUN ${command}`,
  };
}

const list = (...records: RemoteRecord[]): RemoteRecords => ({ records, aliases: [] });
const onTop = (state: StateId, { layer }: RemoteRecord) => nextState(state, layer?.id);
const results = ({ records }: RemoteRecords) =>
  records.map(({ layer, display }) => `${display.slice(4)} ${layer?.id ?? '-'}`).sort();

/** A machine that executed these commands one after another, all by itself. */
function machine(name: string, ...commands: string[]): RemoteRecord[] {
  let state = base;
  return commands.map((command, i) => {
    const made = record({ on: state, command, result: `${name}${i}` });
    state = onTop(state, made);
    return made;
  });
}

describe('merging records', () => {
  it('keeps everything that leads somewhere', () => {
    const a = list(...machine('a', 'install', 'test'));
    const b = list(...machine('b', 'install', 'lint'));
    assert.deepEqual(results(mergeRecords(a, b, now)), [
      'install tree:a0',
      'install tree:b0',
      'lint tree:b1',
      'test tree:a1',
    ]);
  });

  it('leaves out a result that leads nowhere else than another, with all that stands on it', () => {
    const a = list(...machine('a', 'install', 'test', 'pack'));
    const b = list(...machine('b', 'install', 'test'));
    for (const merged of [mergeRecords(a, b, now), mergeRecords(b, a, now)]) {
      assert.deepEqual(results(merged), ['install tree:a0', 'pack tree:a2', 'test tree:a1']);
    }
  });

  it('gives the same list in any order, and again', () => {
    const machines = ['abc', 'abd', 'axy', 'ab', 'a'].map((commands, i) =>
      list(...machine(`m${i}`, ...commands.split(''))),
    );
    const fold = (lists: readonly RemoteRecords[]) =>
      lists.reduce((all, own) => mergeRecords(all, own, now), noRecords);
    const once = results(fold(machines));
    assert.deepEqual(results(fold([...machines].reverse())), once);
    assert.deepEqual(results(fold([...machines, ...machines])), once);
    for (const own of machines)
      assert.equal(isNews(fold(machines), mergeRecords(fold(machines), own, now)), false);
  });

  it('forgets what nobody needed for a month, and more layers than there may be', () => {
    const old = record({ on: base, command: 'old', result: 'old', daysAgo: 31 });
    const recent = record({ on: base, command: 'recent', result: 'recent', daysAgo: 29 });
    assert.deepEqual(results(mergeRecords(list(old), list(recent), now)), ['recent tree:recent']);
    const many = Array.from({ length: 9 }, (_, i) =>
      record({ on: base, command: `c${i}`, result: `r${i}`, daysAgo: i }),
    );
    const few = mergeRecords(list(...many), noRecords, now, { ...defaultBounds, layers: 3 });
    assert.deepEqual(results(few), ['c0 tree:r0', 'c1 tree:r1', 'c2 tree:r2']);
    const small = mergeRecords(list(...many), noRecords, now, { ...defaultBounds, bytes: 1500 });
    assert.ok(small.records.length > 0 && small.records.length < 9);
    assert.ok(Buffer.byteLength(draftOf(small).config) <= 1500);
  });

  it('is news when there is a record more, or one was not used for a day', () => {
    const a = record({ on: base, command: 'a', result: 'a', daysAgo: 3 });
    const again = record({ on: base, command: 'a', result: 'a' });
    assert.equal(isNews(list(a), list(again)), true);
    assert.equal(isNews(list(again), list(again)), false);
    assert.equal(isNews(noRecords, list(a)), true);
    const key = digestOf('fast') as CacheKey;
    const aliased = { records: [again], aliases: [{ fast: key, key: again.key, usedAt: again.usedAt }] };
    assert.equal(isNews(list(again), aliased), true);
  });

  it('takes long with nothing, however records stand on each other', async () => {
    // Every result leads to every other: an attempt to keep the reader busy.
    const states = Array.from({ length: 60 }, (_, i) => digestOf(`s${i}`) as StateId);
    const knot = states.flatMap((on, i) =>
      ['x', 'y'].map(name => record({ on, command: 'c', result: `${name}${i}` })),
    );
    const graph = new Graph(knot);
    const many = Array(400).fill({ display: 'RUN c' });
    assert.equal(await graph.reach(knot[0] as RemoteRecord, base, many), 0);
    assert.ok(mergeRecords(list(...knot), list(...knot), now).records.length >= 60);
    let state = base;
    const chain = Array.from({ length: 4000 }, (_, i) => {
      const made = record({ on: state, command: 'c', result: `deep${i}` });
      state = onTop(state, made);
      return made;
    });
    const twin = record({ on: base, command: 'c', result: 'twin' });
    const merged = mergeRecords(list(...chain), list(twin), now);
    assert.ok(merged.records.length > 900);
  });
});

describe('choosing among results', () => {
  const displays = (...commands: string[]) => commands.map(command => ({ display: `RUN ${command}` }));

  it('goes by how far they lead along the steps to come', async () => {
    const a = machine('a', 'install', 'test', 'pack');
    const b = machine('b', 'install', 'lint', 'pack');
    const graph = new Graph([...a, ...b]);
    const reach = (of: RemoteRecord[], ...next: string[]) =>
      graph.reach(of[0] as RemoteRecord, base, displays(...next));
    assert.equal(await reach(a, 'test', 'pack'), 2);
    assert.equal(await reach(b, 'test', 'pack'), 0);
    assert.equal(await reach(b, 'lint', 'other'), 1);
    assert.equal(await reach(b), 0);
  });

  it('goes by the key of a step where that is known, whatever the instruction says', async () => {
    const a = machine('a', 'install', 'copy one');
    const b = machine('b', 'install', 'copy two').map(each => ({ ...each, display: 'COPY . .' }));
    const graph = new Graph([...a.map(each => ({ ...each, display: 'COPY . .' })), ...b]);
    const keyOn = async (state: StateId) => record({ on: state, command: 'copy two' }).key;
    const reach = (of: RemoteRecord[]) =>
      graph.reach(of[0] as RemoteRecord, base, [{ display: 'COPY . .', keyOn }]);
    assert.deepEqual([await reach(a), await reach(b)], [0, 1]);
  });

  it('passes steps that changed nothing', async () => {
    const first = record({ on: base, command: 'first', result: 'r' });
    const state = onTop(base, first);
    const nothing = record({ on: state, command: 'true' });
    const last = record({ on: state, command: 'last', result: 'l' });
    const graph = new Graph([first, nothing, last]);
    assert.equal(await graph.reach(first, base, displays('true', 'last')), 2);
  });
});

describe('the list of records', () => {
  const whole = list(...machine('a', 'install', 'test'), record({ on: base, command: 'true' }));
  const { config, layers } = draftOf(whole);
  const read = (json: unknown, blobs = layers) =>
    readRecords(Buffer.from(JSON.stringify(json)), { layers: blobs });
  const changed = (
    change: (json: { records: Record<string, unknown>[] } & Record<string, unknown>) => void,
  ) => {
    const json = JSON.parse(config);
    change(json);
    return () => read(json);
  };

  it('comes back as it was written', () => {
    assert.deepEqual(readRecords(Buffer.from(config), { layers }), whole);
  });

  it('is refused when anything in it is not what it must be', () => {
    const first = (change: (record: Record<string, unknown>) => void) =>
      changed(json => change(json.records[0] as Record<string, unknown>));
    const broken: [string, () => unknown][] = [
      ['no JSON', () => readRecords(Buffer.from('{'), { layers })],
      ['no object', () => read([])],
      ['null', () => read(null)],
      [
        'a newer version',
        changed(json => {
          json.version = 2;
        }),
      ],
      [
        'fewer layers',
        changed(json => {
          json.layers = [];
        }),
      ],
      [
        'no records',
        changed(json => {
          json.records = {} as never;
        }),
      ],
      [
        'too many records',
        changed(json => {
          json.records = Array(5001).fill(json.records[0]);
        }),
      ],
      [
        'a record that is a text',
        changed(json => {
          json.records = ['x'] as never;
        }),
      ],
      [
        'a key that is a path',
        first(record => {
          record.key = 'sha256:../../../../etc/passwd';
        }),
      ],
      [
        'a layer that is not there',
        first(record => {
          record.layer = 99;
        }),
      ],
      [
        'a layer before the first',
        first(record => {
          record.layer = -1;
        }),
      ],
      [
        'a layer that is a name',
        first(record => {
          record.layer = 'length';
        }),
      ],
      [
        'a tree that is a path',
        first(record => {
          record.id = 'tree:../../x';
        }),
      ],
      [
        'a state that is no digest',
        first(record => {
          record.state = 'x';
        }),
      ],
      [
        'a time that is none',
        first(record => {
          record.usedAt = 'yesterday';
        }),
      ],
      [
        'a duration that is none',
        first(record => {
          record.durationMs = '1';
        }),
      ],
      [
        'a log that is too long',
        first(record => {
          record.log = 'x'.repeat(2049);
        }),
      ],
      [
        'a log that is no bytes',
        first(record => {
          record.log = '€';
        }),
      ],
      [
        'parts that do not give the key',
        first(record => {
          record.parts = [['kind', 'run']];
        }),
      ],
      [
        'an alias that is none',
        changed(json => {
          json.aliases = [['x']];
        }),
      ],
    ];
    for (const [what, act] of broken) {
      assert.throws(act, { name: 'BuildError' }, what);
    }
    const odd = layers.map(blob => ({ ...blob, mediaType: 'application/json' }));
    assert.throws(() => read(JSON.parse(config), odd), /type application\/json/);
  });

  it('of other keys is empty: nothing in it would be found', () => {
    assert.deepEqual(
      changed(json => {
        json.keyVersion = 99;
      })(),
      noRecords,
    );
  });
});
