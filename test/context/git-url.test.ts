import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type GitSource, isRefName, parseGitUrl } from '../../src/context/git-url.ts';

const remote = 'https://github.com/o/r.git';
const good: [string, GitSource | undefined][] = [
  [remote, { remote }],
  ['https://github.com/o/r', undefined],
  ['https://example.com/x.tar.gz', undefined],
  ['./dir', undefined],
  ['github.com/o/r', { remote: 'https://github.com/o/r' }],
  ['github.com/o/r.git#v1', { remote, ref: 'v1' }],
  ['git@github.com:o/r.git#main:sub', { remote: 'git@github.com:o/r.git', ref: 'main', subdir: 'sub' }],
  ['ssh://git@host:22/o/r', { remote: 'ssh://git@host:22/o/r' }],
  ['git://host/o/r#:a/./b/', { remote: 'git://host/o/r', subdir: 'a/b' }],
  [`${remote}#`, { remote }],
  [`${remote}#:`, { remote }],
  [`${remote}#:/`, { remote }],
  [`${remote}#refs/pull/7/head`, { remote, ref: 'refs/pull/7/head' }],
  [`${remote}#@scope/pkg@1.0.0`, { remote, ref: '@scope/pkg@1.0.0' }],
  [`${remote}?tag=v1&subdir=x`, { remote, ref: 'v1', refKind: 'tag', subdir: 'x' }],
  [`${remote}?branch=b`, { remote, ref: 'b', refKind: 'branch' }],
  [`${remote}?ref=b&checksum=0123456`, { remote, ref: 'b', checksum: '0123456' }],
  [`${remote}?commit=0123456789`, { remote, checksum: '0123456789' }],
  [
    `${remote}?keep-git-dir=1&submodules=false&mtime=commit`,
    { remote, keepGitDir: true, submodules: false, mtime: 'commit' },
  ],
  [
    `${remote}?fetch-by-commit=true&checksum=${'a'.repeat(40)}`,
    { remote, fetchByCommit: true, checksum: 'a'.repeat(40) },
  ],
];

const bad: [string, 'hostile' | 'context'][] = [
  [`${remote}#--upload-pack=touch\${IFS}/canary:d`, 'hostile'],
  [`${remote}#-c`, 'hostile'],
  [`${remote}#:--x/..`, 'hostile'],
  [`${remote}#a..b`, 'hostile'],
  [`${remote}#a b`, 'hostile'],
  [`${remote}#a\nb`, 'hostile'],
  [`${remote}#a@{1}`, 'hostile'],
  [`${remote}#a^`, 'hostile'],
  [`${remote}#a~1`, 'hostile'],
  [`${remote}#:..`, 'hostile'],
  [`${remote}#:a/../../..`, 'hostile'],
  [`${remote}?subdir=../x`, 'hostile'],
  ['ssh://-oProxyCommand=x/r', 'hostile'],
  ['ssh://-oProxyCommand=x@h/r', 'hostile'],
  ['git@host:-x', 'hostile'],
  ['https://h%0ahost=evil/r.git', 'hostile'],
  ['https://h/%0dr.git', 'hostile'],
  ['https://h/a b.git', 'hostile'],
  [`${remote}?ref=a#b`, 'context'],
  [`${remote}?ref=a&tag=b`, 'context'],
  [`${remote}?ref=a&ref=b`, 'context'],
  [`${remote}?what=1`, 'context'],
  [`${remote}?checksum=xyz`, 'context'],
  [`${remote}?checksum=0123456&commit=0123457`, 'context'],
  [`${remote}?mtime=never`, 'context'],
  [`${remote}?submodules=maybe`, 'context'],
  [`${remote}?fetch-by-commit=true`, 'context'],
];

describe('a text that names a git repository', () => {
  for (const [text, expected] of good) {
    test(text, () => assert.deepEqual(parseGitUrl(text), expected));
  }
});

describe('a git URL that is refused', () => {
  for (const [text, code] of bad) {
    test(JSON.stringify(text), () => assert.throws(() => parseGitUrl(text), { code }));
  }
});

describe('the name of a ref', () => {
  const cases: [string, boolean][] = [
    ['main', true],
    ['feature/a+b', true],
    ['ünï', true],
    ['v1.0.lock', false],
    ['a/.b', false],
    ['a.', false],
    ['/a', false],
    ['a//b', false],
    ['@', false],
    ['a\\b', false],
    ['a*', false],
    ['', false],
  ];
  for (const [name, expected] of cases)
    test(`${name}: ${expected}`, () => assert.equal(isRefName(name), expected));
});
