import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileGlob, hasWildcards } from '../../src/context/glob.ts';
import { bytePath } from '../../src/tree/entry.ts';

/** Pattern, name, whether it matches; undefined for a malformed pattern. As Go's path/filepath.Match. */
const cases: [string, string, boolean | undefined][] = [
  ['abc', 'abc', true],
  ['*', 'abc', true],
  ['*', '', true],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*', 'abc', true],
  ['a*', 'ab/c', false],
  ['a*/b', 'abc/b', true],
  ['a*/b', 'a/c/b', false],
  ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxexxx/f', true],
  ['a*b*c*d*e*/f', 'axbxcxdxe/xxx/f', false],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^b-d]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['a?b', 'aäb', true],
  ['a[^a]b', 'aäb', true],
  ['a???b', 'aäb', false],
  ['[a-ζ]*', 'α', true],
  ['*[a-ζ]', 'A', false],
  ['a?b', 'a/b', false],
  ['a*b', 'a/b', false],
  ['a[^x]b', 'a/b', true],
  ['[\\]a]', ']', true],
  ['[\\-]', '-', true],
  ['[x\\-]', 'x', true],
  ['[x\\-]', 'z', false],
  ['[\\-x]', 'a', false],
  ['[]a]', ']', undefined],
  ['[-]', '-', undefined],
  ['[x-]', 'x', undefined],
  ['[-x]', 'x', undefined],
  ['[a-b-c]', 'a', undefined],
  ['[', 'a', undefined],
  ['[^', 'a', undefined],
  ['[^bc', 'a', undefined],
  ['a[', 'a', undefined],
  ['a[', 'ab', undefined],
  ['a\\', 'a', undefined],
  ['*x', 'xxx', true],
  ['[z-a]', 'm', false],
];

describe('wildcards of COPY', () => {
  for (const [pattern, name, expected] of cases) {
    test(`${pattern} and ${name}: ${expected ?? 'malformed'}`, () => {
      if (expected === undefined) assert.throws(() => compileGlob(bytePath(pattern)), { code: 'dockerfile' });
      else assert.equal(compileGlob(bytePath(pattern)).matches(bytePath(name)), expected);
    });
  }
  test('a byte that is no UTF-8 is one character', () => {
    assert.equal(compileGlob('a?b').matches('a\xffb'), true);
    assert.equal(compileGlob('a?b').matches('a\xff\xfeb'), false);
  });
  test('stars come to an end', { timeout: 20_000 }, () => {
    assert.equal(compileGlob(`${'*a'.repeat(50)}b`).matches('a'.repeat(5000)), false);
  });
  test('a backslash hides a wildcard', () => {
    assert.deepEqual(['a*', 'a?', '[a]', 'a\\*', 'a\\\\*', 'a]'].map(hasWildcards), [
      true,
      true,
      true,
      false,
      true,
      false,
    ]);
  });
});
