// Every Dockerfile of test/corpus/differential comes to what Docker with BuildKit recorded for it: config, history, and each
// file's type, mode, owner, size, content, links, time and attributes. What differs on purpose is in docs/differences.md.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type BaseRegistry, startRegistry } from '../support/fixtures.ts';
import { run } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';

const corpus = join(repoRoot, 'test/corpus/differential');
const names = readdirSync(corpus);
const differences = new Map<string, readonly string[]>();
let registry: BaseRegistry;
let errors = '';

before(async () => {
  registry = await startRegistry();
  const script = [process.execPath, join(repoRoot, 'scripts/differential.js'), '--recorded', '--json'];
  const ended = await run(script, { env: { CONTAINERS_REGISTRIES_CONF: registry.registriesConf } });
  errors = ended.stderr;
  for (const line of ended.stdout.split('\n').filter(text => text !== '')) {
    const told: { readonly case: string; readonly differences: readonly string[] } = JSON.parse(line);
    differences.set(told.case, told.differences);
  }
});

after(() => registry?.stop());

for (const name of names)
  test(`as Docker: ${name}`, () => {
    const found = differences.get(name);
    assert.ok(found, `the script says nothing of it:\n${errors}`);
    assert.equal(found.join('\n'), '');
  });

test('every wanted difference is explained', () => {
  const rules = readFileSync(join(repoRoot, 'scripts/differential/wanted.js'), 'utf8');
  const explained = readFileSync(join(repoRoot, 'docs/differences.md'), 'utf8');
  const headings = [...rules.matchAll(/^ {4}name: '(.+)',$/gm)].map(match => match[1]);
  assert.ok(headings.length > 0);
  for (const heading of headings) assert.ok(explained.includes(`## ${heading}\n`), heading);
});

test('at least 150 Dockerfiles are compared, 30 of which both refuse', () => {
  const refused = names.filter(name => readdirSync(join(corpus, name)).includes('expect'));
  assert.ok(names.length >= 150, `${names.length}`);
  assert.ok(refused.length >= 30, `${refused.length}`);
});
