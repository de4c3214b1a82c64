import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  type Escape,
  expandHeredoc,
  expandPattern,
  expandWord,
  expandWords,
  MAX_EXPANSION,
  WordError,
} from '../../src/dockerfile/words.ts';
import { repoRoot } from '../support/repo.ts';

const corpus = readFileSync(join(repoRoot, 'test/corpus/words.txt'), 'utf8').split('\n');
const variables = new Map(
  corpus
    .filter(line => line.startsWith('@ '))
    .map(line => {
      const equals = line.indexOf('=');
      return [line.slice(2, equals), JSON.parse(line.slice(equals + 1)) as string];
    }),
);
const cases = corpus.filter(line => /^(word|words|heredoc|pattern) \| /.test(line));

describe('test/corpus/words.txt', () => {
  it('holds at least 120 cases, and no line that is not understood', () => {
    assert.ok(cases.length >= 120, `${cases.length} cases`);
    assert.equal(corpus.filter(line => line !== '' && !/^[#@] /.test(line)).length, cases.length);
  });

  for (const line of cases) {
    it(line, () => {
      const [what = '', escapeChar = '', ...rest] = line.split(' | ');
      const expected = rest.pop() ?? '';
      assert.equal(expand(what, escapeChar as Escape, rest.join(' | ')), expected);
    });
  }
});

function expand(what: string, escapeChar: Escape, input: string): string {
  try {
    if (what === 'words') return visible(expandWords(input, variables, escapeChar).words);
    if (what === 'pattern') return visible(expandPattern(input, variables).value);
    if (what === 'heredoc') return visible(expandHeredoc(input, variables).value);
    return visible(expandWord(input, variables, escapeChar).value);
  } catch (error) {
    assert.ok(error instanceof WordError);
    return `error: ${error.message}`;
  }
}

function visible(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u0080-\u00a0\u2000-\u200f\u3000]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

describe('an expansion', () => {
  const env = new Map([
    ['set', 'x'],
    ['empty', ''],
  ]);

  it('names the variables it used and those that were unset', () => {
    const { used, undefined: missing } = expandWord('$set $nope ${empty} ${gone} $nope', env, '\\');
    assert.deepEqual(used, ['set', 'empty']);
    assert.deepEqual(missing, ['nope', 'gone']);
  });

  it('tells variables that became empty from those that had an alternative', () => {
    const found = expandWord('${a:-1}${b-2}${c:+3}${d+4}${e#x}${f/x/y}', env, '\\');
    assert.deepEqual(found.undefined, ['e', 'f']);
    assert.deepEqual(found.unset, ['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('does not look at variables in single quotes or behind an escape', () => {
    assert.deepEqual(expandWord("'$a' \\$b", env, '\\').undefined, []);
  });

  it('keeps the white space between words, and expandWords drops it', () => {
    assert.equal(expandWord(' a  b ', env, '\\').value, ' a  b ');
    assert.deepEqual(expandWords(' a  b ', env, '\\').words, ['a', 'b']);
  });

  it('keeps line ends in a heredoc body, but not an escape before one', () => {
    assert.equal(expandHeredoc('a\n\tb\\\nc\r\n', env).value, 'a\n\tb\nc\r\n');
  });

  it('is refused beyond 1 MiB instead of growing', () => {
    const big = new Map([['big', 'x'.repeat(MAX_EXPANSION / 2)]]);
    assert.equal(expandWord('$big$big', big, '\\').value.length, MAX_EXPANSION);
    for (const input of ['$big$big.', '${big//x/yyy}', '"$big$big$big"', '${none:-$big$big$big}']) {
      assert.throws(() => expandWord(input, big, '\\'), /longer than 1 MiB/, input);
    }
  });

  it('is refused when nested too deeply', () => {
    const nested = (depth: number) => `${'${a:-'.repeat(depth)}x${'}'.repeat(depth)}`;
    assert.equal(expandWord(nested(100), env, '\\').value, 'x');
    assert.throws(() => expandWord(nested(101), env, '\\'), /nested more than 100 deep/);
    assert.throws(() => expandWord(nested(100_000), env, '\\'), /nested more than 100 deep/);
  });

  it('is refused when pattern and value are too long to compare', () => {
    const env = new Map([['a', 'a'.repeat(1_000_000)]]);
    const pattern = `${'a'.repeat(10_000)}b`;
    assert.throws(() => expandWord(`\${a//${pattern}/}`, env, '\\'), /too long to compare/);
    assert.throws(() => expandWord(`\${a##*${pattern}}`, env, '\\'), /too long to compare/);
  });

  it('matches a pattern with many stars against a long value', () => {
    const env = new Map([['a', 'a'.repeat(500_000)]]);
    assert.equal(expandWord(`\${a##${'*a'.repeat(50)}*b}`, env, '\\').value.length, 500_000);
    assert.equal(expandWord(`\${a%%${'a*'.repeat(50)}}`, env, '\\').value, '');
    assert.equal(expandWord('${a//a*b/}', env, '\\').value.length, 500_000);
  });
});
