import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { compileExcludes, parseIgnore } from '../../src/context/ignore.ts';
import { bytePath } from '../../src/tree/entry.ts';
import { repoRoot } from '../support/repo.ts';

const rules = (text: string) => parseIgnore({ name: '.dockerignore', text });

describe('the corpus of ignore files, as docker build treats them', () => {
  const lines = readFileSync(join(repoRoot, 'test/corpus/ignore.txt'), 'utf8').split('\n');
  const cases = lines.filter(line => line !== '' && !line.startsWith('#')).map(line => line.split('\t'));
  assert.ok(cases.length > 300);
  for (const [source = '', place = '', expected = ''] of cases) {
    test(`${source} and ${place}: ${expected}`, () => {
      const text: string = JSON.parse(source);
      const path = bytePath(JSON.parse(place));
      if (expected === 'error') assert.throws(() => rules(text), { code: 'context' });
      else assert.equal(rules(text).ignores(path) ? 'ignored' : 'kept', expected);
    });
  }
});

describe('the line that decides', () => {
  const found = rules('# logs\n*.log\n\n!keep.log\n /docs/ \n');
  const cases: [string, string | undefined, number, boolean][] = [
    ['a.log', '*.log', 2, false],
    ['keep.log', '!keep.log', 4, true],
    ['docs/api/x', '/docs/', 5, false],
    ['src/a', undefined, 0, false],
  ];
  for (const [path, pattern, line, negated] of cases) {
    test(`for ${path} is ${pattern ?? 'none'}`, () => {
      assert.deepEqual(
        found.match(bytePath(path)),
        pattern === undefined ? undefined : { pattern, line, negated },
      );
    });
  }
  test('is told with an invalid pattern', () => {
    assert.throws(
      () => rules('ok\n\n[a\r\n'),
      (error: { range?: { start: unknown; end: unknown }; message: string }) => {
        assert.match(error.message, /\.dockerignore.*syntax error/);
        assert.deepEqual(
          [error.range?.start, error.range?.end],
          [
            { line: 3, column: 0 },
            { line: 3, column: 2 },
          ],
        );
        return true;
      },
    );
  });
});

describe('a walk need not enter', () => {
  const cases: [string, string, boolean][] = [
    ['node_modules', 'node_modules', false],
    ['node_modules\n!src', 'node_modules', false],
    ['node_modules\n!node_modules/keep', 'node_modules', true],
    ['node_modules\n!node_modules/keep', 'node_modules/other', false],
    ['a\n!a/b/**', 'a/b', true],
    ['a\n!**/keep', 'a', true],
  ];
  for (const [text, path, expected] of cases) {
    test(`${JSON.stringify(text)}: ${path} ${expected ? 'must be entered' : 'is skipped'}`, () => {
      assert.equal(rules(text).ignores(bytePath(path)), true);
      assert.equal(rules(text).mayReinclude(bytePath(path)), expected);
    });
  }
});

describe('hostile patterns take no more time than others', () => {
  const long = 'a'.repeat(120);
  const deep = Array.from({ length: 60 }, () => 'a').join('/');
  const cases: [string, string][] = [
    [`${'*a'.repeat(40)}b`, long],
    [`${'**/'.repeat(20)}x`, `${deep}/y`],
    [`${'**/*a'.repeat(20)}/x`, `${deep}/y`],
    [`${'*'.repeat(500)}b`, long],
    [`${'[a]*'.repeat(60)}b`, long],
    [`${'?*'.repeat(60)}b`, long],
    [`${'a{0,1000}'.repeat(3)}*b`, long],
  ];
  for (const [pattern, path] of cases) {
    // A matcher that goes back and forth would not come to an end: the test runner's time limit is the assertion.
    test(pattern.slice(0, 30), { timeout: 20_000 }, () => {
      assert.equal(rules(pattern).ignores(bytePath(path)), false);
      assert.equal(rules(`!${pattern}\n**`).ignores(bytePath(path)), true);
    });
  }
  test('100,000 lines', { timeout: 20_000 }, () => {
    const many = rules(Array.from({ length: 100_000 }, (_, i) => `dir${i}/*.log`).join('\n'));
    assert.equal(many.ignores(bytePath('dir99999/x.log')), true);
    assert.equal(many.ignores(bytePath('dir/x.log')), false);
  });
});

describe('names that are no UTF-8', () => {
  test('are matched by wildcards and not by each other', () => {
    assert.equal(rules('a?').ignores('a\xff' as never), true);
    assert.equal(rules('a*b').ignores('a\xff\xfeb' as never), true);
    assert.equal(rules('a\ufffd').ignores('a\xff' as never), false);
  });
});

describe('a NUL in a pattern', () => {
  test('is refused', () => assert.throws(() => rules('a\0b'), { code: 'context', message: /NUL/ }));
});

describe('exclude patterns', () => {
  test('follow the same rules without a file', () => {
    const excludes = compileExcludes(['*.txt', '!keep.txt', ' sub/ ']);
    assert.deepEqual(
      ['a.txt', 'keep.txt', 'sub/x', 'x/a.txt'].map(path => excludes.ignores(bytePath(path))),
      [true, false, true, false],
    );
  });
  test('are refused when they are malformed', () => {
    assert.throws(() => compileExcludes(['a[']), { code: 'dockerfile', message: /a\[/ });
  });
});
