// test/corpus/dockerfile: each case is a Dockerfile with expected.json (what it says) or expected.error (one line per
// error, `line:column message`). README.md there tells how to add one.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';
import { repoRoot } from '../support/repo.ts';
import { projectDockerfile } from './projection.ts';

const root = join(repoRoot, 'test/corpus/dockerfile');
const cases = readdirSync(root, { withFileTypes: true }).filter(entry => entry.isDirectory());

describe('the Dockerfile corpus', () => {
  it('holds at least 60 cases', () => {
    assert.ok(cases.length >= 60, `${cases.length} cases`);
  });

  for (const { name } of cases) {
    const expectedError = join(root, name, 'expected.error');
    const text = readFileSync(join(root, name, 'Dockerfile'), 'utf8');
    if (existsSync(expectedError)) {
      it(`${name} is refused`, () => {
        assert.equal(errorsOf(text), readFileSync(expectedError, 'utf8'));
      });
    } else {
      it(`${name} is read`, () => {
        const expected: unknown = JSON.parse(readFileSync(join(root, name, 'expected.json'), 'utf8'));
        assert.equal(errorsOf(text), '');
        const found: unknown = JSON.parse(JSON.stringify(projectDockerfile(parse(text))));
        assert.deepEqual(found, expected);
      });
    }
  }
});

function parse(text: string) {
  return parseDockerfile({ name: 'Dockerfile', text });
}

function errorsOf(text: string): string {
  return parse(text)
    .diagnostics.filter(({ severity }) => severity === 'error')
    .map(({ message, range }) => `${range?.start.line}:${range?.start.column} ${message}\n`)
    .join('');
}
