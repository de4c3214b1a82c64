import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Masker } from '../../src/build/steps/mask.ts';

const shown = (secrets: string[], chunks: string[]): string => {
  const masker = new Masker(secrets.map(s => Buffer.from(s)));
  const parts = chunks.map(chunk => masker.push(Buffer.from(chunk)));
  return Buffer.concat([...parts, masker.end()]).toString();
};

test('a secret is masked wherever the chunks are cut', () => {
  const text = 'before hunter22 after hunter22\n';
  for (let cut = 0; cut <= text.length; cut++) {
    assert.equal(
      shown(['hunter22'], [text.slice(0, cut), text.slice(cut)]),
      'before ******** after ********\n',
    );
  }
  assert.equal(shown(['hunter22'], [...text]), 'before ******** after ********\n');
});

test('each line of a secret is masked where programs print it alone, unless it is short', () => {
  const key = '-----BEGIN KEY-----\nc2VjcmV0LW9uZQ\r\n  c2VjcmV0LXR3bw\n}\n-----END KEY-----\n';
  const numbered = '1 -----BEGIN KEY-----\n2 c2VjcmV0LW9uZQ\n3 c2VjcmV0LXR3bw!\n4 }\n';
  const masked = '1 ********\n2 ********\n3 ********!\n4 }\n';
  for (let cut = 0; cut <= numbered.length; cut++)
    assert.equal(shown([key], [numbered.slice(0, cut), numbered.slice(cut)]), masked);
  assert.equal(shown([key], [...numbered]), masked);
  assert.equal(shown([key], [`(${key.trim()})`]), '(********)', 'the whole is one');
});

test('the longer of two secrets that share a beginning is masked whole', () => {
  assert.equal(shown(['abcd', 'abcdefgh'], ['x abcdefgh y abcd z']), 'x ******** y ******** z');
});

test('a trailing newline in the secret file is not part of the secret', () => {
  assert.equal(shown(['token-1234\n'], ['got token-1234.']), 'got ********.');
});

test('values too short to be told from ordinary text stay, and nothing is lost without secrets', () => {
  assert.equal(shown(['ab'], ['ab ab']), 'ab ab');
  assert.equal(shown([], ['any', 'thing']), 'anything');
});

test('text that only looks like the beginning of a secret is shown in the end', () => {
  assert.equal(shown(['secretvalue'], ['it was secret', '!']), 'it was secret!');
});
