import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Explainable, explainMiss } from '../../src/cache/explain.ts';
import { openHistory, projectId } from '../../src/cache/history.ts';
import { decodeFiles, encodeFiles, type InputFile } from '../../src/cache/input-files.ts';
import { keyOf } from '../contracts/cache.ts';

const step = (parts: Record<string, string>, more: Partial<Explainable> = {}): Explainable => ({
  parts: Object.entries(parts).map(([name, value]) => ({ name, value })),
  ...more,
});

describe('the reason for a miss', () => {
  const cases: [string, Explainable | undefined, Explainable, string][] = [
    ['nothing to compare with', undefined, step({}), 'no earlier record'],
    [
      'an argument',
      step({ 'env V': '1' }, { args: ['V'] }),
      step({ 'env V': '2' }, { args: ['V'] }),
      'ARG V 1 → 2',
    ],
    ['a new variable', step({}), step({ 'env V': '' }), 'ENV V added: ""'],
    ['a variable that is gone', step({ 'env V': 'a b' }), step({}), 'ENV V removed: "a b"'],
    ['a flag', step({ chown: '1' }), step({ chown: '2' }), '--chown 1 → 2'],
    [
      'the content of a mount',
      step({ 'mount /m': '4:bind1' }),
      step({ 'mount /m': '4:bind2' }),
      'what is mounted at /m changed',
    ],
    ['the state alone', step({ state: 'a' }), step({ state: 'b' }), 'the layers below it differ'],
    [
      'files without lists',
      step({ 'source 0': 'a' }),
      step({ 'source 0': 'b' }),
      'the files that it reads changed',
    ],
    ['nothing', step({ a: '1' }), step({ a: '1' }), 'its earlier result is not in the store'],
  ];
  for (const [what, before, after, expected] of cases) {
    it(`is ${what}: ${expected}`, () => {
      assert.equal(explainMiss(before, after, undefined, undefined), expected);
    });
  }

  it('shows long commands where they part, and no control characters', () => {
    const start = 'x'.repeat(200);
    const text = explainMiss(
      step({ argv: `${start}one` }),
      step({ argv: `${start}\u001b[31mtwo` }),
      undefined,
      undefined,
    );
    assert.match(text, /^command …x+one → …x+\\u001b\[31mtwo$/);
  });
});

describe('a list of files', () => {
  it('comes back as it was, whatever bytes the names have', async () => {
    const files: InputFile[] = [
      { path: 'a\nb\xff', type: 'file', mode: 0o4755, size: 2 ** 40, content: 'ab', target: '' },
      { path: 'l', type: 'symlink', mode: 0o777, size: 0, content: '', target: 'to \xe4' },
    ];
    assert.deepEqual(decodeFiles(await encodeFiles(files)), files);
    assert.deepEqual(decodeFiles(await encodeFiles([])), []);
    assert.equal(decodeFiles(Buffer.from('damaged')), undefined);
  });
});

describe('the history of a project', () => {
  const facts = new Map<string, unknown>();
  const meta = {
    get: (_space: string, key: string) => facts.get(key),
    set: (_space: string, key: string, value: unknown) => void facts.set(key, value),
  } as unknown as Parameters<typeof openHistory>[0];
  const place = (ordinal: number, display: string) => ({ stage: 's', ordinal, kind: 'run', display });
  const built = (ordinal: number, display: string, key: string) => ({
    ...place(ordinal, display),
    name: display,
    outcome: 'done' as const,
    key: keyOf(key),
    durationMs: 1,
  });
  const about = { context: '/p', at: '2026-01-01T00:00:00Z', outcome: 'done' as const, durationMs: 1 };

  it('finds the same instruction first, then the one at its place, then a like one elsewhere', () => {
    const history = openHistory(meta);
    const project = projectId('/p', undefined);
    history.put(project, { ...about, steps: [built(0, 'RUN a', 'a'), built(1, 'RUN b', 'b')] });
    history.learn(place(7, 'RUN elsewhere'), keyOf('elsewhere'));
    assert.equal(history.nearest(project, place(0, 'RUN b')), keyOf('b'));
    assert.equal(history.nearest(project, place(1, 'RUN changed')), keyOf('b'));
    assert.equal(history.nearest(project, place(5, 'RUN elsewhere')), keyOf('elsewhere'));
    assert.equal(history.nearest(project, place(5, 'RUN new')), undefined);
  });

  it('keeps steps that a later build did not come to', () => {
    const history = openHistory(meta);
    const project = projectId('/p', undefined);
    history.put(project, { ...about, outcome: 'failed', steps: [built(0, 'RUN a', 'a2')] });
    assert.equal(history.nearest(project, place(0, 'RUN a')), keyOf('a2'));
    assert.equal(history.nearest(project, place(1, 'RUN b')), keyOf('b'));
    assert.equal(history.last()?.outcome, 'failed');
  });
});
