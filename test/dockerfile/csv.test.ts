import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { csvFields } from '../../src/dockerfile/csv.ts';

describe('comma-separated values', () => {
  function values(line: string): string[] {
    const fields = csvFields(line);
    assert.ok(!('problem' in fields), line);
    return fields.map(({ value }) => value);
  }

  it('are split at commas', () => {
    assert.deepEqual(values('a=1,b, c ,,'), ['a=1', 'b', ' c ', '', '']);
  });

  it('may be quoted as a whole, with doubled quotes inside', () => {
    assert.deepEqual(values('"a,b",c'), ['a,b', 'c']);
    assert.deepEqual(values('"a""b","",""""'), ['a"b', '', '"']);
  });

  it('know where they stand', () => {
    assert.deepEqual(csvFields('"a,b",cd'), [
      { value: 'a,b', start: 0, end: 5 },
      { value: 'cd', start: 6, end: 8 },
    ]);
  });

  it('are refused with a quote in the wrong place', () => {
    for (const line of ['a"b', 'a,"b', '"a"b', '"', '"a""']) assert.ok('problem' in csvFields(line), line);
  });
});
