// docs/dockerfile.md: every row names tests that exist, every check, instruction and flag has its row.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { KEYWORDS } from '../../src/dockerfile/keywords.ts';
import { rules } from '../../src/dockerfile/lint/rules.ts';
import { repoRoot } from '../support/repo.ts';

interface Row {
  readonly line: number;
  readonly feature: string;
  readonly does: string;
  readonly tests: readonly string[];
}

const lines = readFileSync(join(repoRoot, 'docs/dockerfile.md'), 'utf8').split('\n');
const rows = lines.flatMap((text, i) => (isRow(text, i) ? [parseRow(text, i + 1)] : []));

/** A line of a table below its head. */
function isRow(text: string, i: number): boolean {
  const isHead = /^\|(?: --- \|)+$/.test(lines[i + 1] ?? '');
  return text.startsWith('| ') && !isHead && !/^\|(?: --- \|)+$/.test(text);
}

function parseRow(text: string, line: number): Row {
  const cells = text
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map(cell => cell.trim().replaceAll('\\|', '|'));
  assert.equal(cells.length, 3, `docs/dockerfile.md:${line} has ${cells.length} cells`);
  const [feature = '', does = '', shown = ''] = cells;
  return { line, feature, does, tests: shown.split('<br>').map(test => test.replace(/^`(.*)`$/, '$1')) };
}

/** Why a reference leads nowhere; undefined when it is right. */
function problemWith(test: string): string | undefined {
  const [place = '', name] = test.split(/ › (.*)/s, 2);
  if (name === undefined) {
    const isCase = /^corpus\/(?:dockerfile|graphs)\/[a-z0-9-]+$/.test(place);
    return isCase && existsSync(join(repoRoot, 'test', place, 'Dockerfile')) ? undefined : 'no such case';
  }
  const isCorpus = place === 'corpus/words.txt';
  const file = join(repoRoot, 'test', isCorpus ? place : `${place}.test.ts`);
  if (!existsSync(file)) return 'no such file';
  const source = readFileSync(file, 'utf8');
  if (isCorpus) return source.includes(`\nword | \\ | ${name} | `) ? undefined : 'no such line';
  const isThere = ["'", '"', '`'].some(quote => source.includes(quote + name + quote));
  return isThere ? undefined : 'no test of that name';
}

describe('docs/dockerfile.md', () => {
  it('has its tables', () => assert.ok(rows.length > 120, `${rows.length} rows`));

  for (const { line, feature, does, tests } of rows) {
    it(`line ${line}, ${feature}: names tests that exist`, () => {
      assert.notEqual(does, '');
      const wrong = tests.flatMap(test => {
        const problem = problemWith(test);
        return problem === undefined ? [] : [`${test}: ${problem}`];
      });
      assert.deepEqual(wrong, []);
    });
  }

  it('lists every check once, and no other', () => {
    const head = lines.findIndex(text => text.startsWith('| Rule |'));
    const table = lines.slice(head + 2, lines.indexOf('', head));
    const names = table.map(text => /^\| `(\w+)` \|/.exec(text)?.[1]);
    assert.deepEqual(
      names,
      rules.map(rule => rule.name),
    );
  });

  it('mentions every instruction, and every flag of one', () => {
    const text = rows.map(({ feature, does }) => `${feature} ${does}`).join('\n');
    for (const keyword of KEYWORDS) assert.match(text, new RegExp(`\\b${keyword}\\b`));
    const source = readFileSync(join(repoRoot, 'src/dockerfile/flags.ts'), 'utf8');
    const flags = [...source.matchAll(/^\s+'?([a-z-]+)'?: '(?:value|list|switch)'/gm)].map(match => match[1]);
    assert.ok(flags.length > 8, String(flags));
    for (const flag of [...flags, 'from', 'platform', 'mount', 'parents', 'checksum', 'unpack']) {
      assert.ok(text.includes(`--${flag}`) || text.includes(`\`${flag}\``), `--${flag} is not mentioned`);
    }
  });
});
