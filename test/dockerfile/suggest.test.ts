import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { didYouMean, suggest } from '../../src/dockerfile/suggest.ts';

describe('a spelling suggestion', () => {
  const names = ['RUN', 'COPY', 'CMD', 'ENV', 'WORKDIR'];

  it('is the name within two edits', () => {
    assert.equal(suggest('RUNN', names), 'RUN');
    assert.equal(suggest('WORKDRI', names), 'WORKDIR');
    assert.equal(suggest('WORK', names), undefined);
  });

  it('takes over the case of the word', () => {
    assert.equal(suggest('cpy', names), 'copy');
    assert.equal(suggest('Cpy', names), 'COPY');
  });

  it('keeps case when case matters', () => {
    assert.equal(suggest('fro', ['from', 'FROM'], true), 'from');
    assert.equal(suggest('Cache', ['cache'], true), 'cache');
  });

  it('is none for a word that is right', () => {
    assert.equal(suggest('run', names), undefined);
  });

  it('is the nearest, and of two the first in the alphabet', () => {
    assert.equal(suggest('ab', ['abcd', 'abc']), 'abc');
    assert.equal(suggest('x', ['c', 'b', 'a']), 'a');
  });

  it('is not looked for in long words', () => {
    assert.equal(suggest('x'.repeat(1000), ['x'.repeat(999)]), undefined);
  });

  it('reads as a hint', () => {
    assert.equal(didYouMean('RUM', names), 'did you mean RUN?');
    assert.equal(didYouMean('nothing', names), undefined);
  });
});
