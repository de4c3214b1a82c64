// Findings as text, JSON and SARIF.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatFindings, type LintFailure } from '../../src/dockerfile/lint/report.ts';
import { rules } from '../../src/dockerfile/lint/rules.ts';
import { lintDockerfile } from '../../src/dockerfile/lint/run.ts';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';

const file = { name: 'app/Dockerfile', text: 'FROM scratch AS Foo\n\nCMD a \\\n  b\n' };
const findings = lintDockerfile(parseDockerfile(file));

describe('findings as text', () => {
  it('show rule, page, message, place and lines', () => {
    assert.equal(
      formatFindings('text', findings),
      `Check complete, 2 warnings have been found!

WARNING: StageNameCasing - https://docs.docker.com/go/dockerfile/rule/stage-name-casing/
Stage name 'Foo' should be lowercase
app/Dockerfile:1
--------------------
   1 | >>> FROM scratch AS Foo
   2 |
   3 |     CMD a \\
--------------------

WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
app/Dockerfile:3
--------------------
   1 |     FROM scratch AS Foo
   2 |
   3 | >>> CMD a \\
   4 | >>>   b
   5 |
--------------------
`,
    );
  });
  it('say that there are none', () => {
    assert.equal(formatFindings('text', []), 'Check complete, no warnings found.\n');
  });
  it('of a large file with very many of them come to an end', () => {
    const text = `FROM scratch\n${'RUN a \\\n\n b\n'.repeat(80_000)}`;
    const many = lintDockerfile(parseDockerfile({ name: 'Dockerfile', text }));
    assert.equal(formatFindings('text', many).match(/ >>>$/gm)?.length, 80_000);
  });
  it('end with what stopped the build', () => {
    assert.match(formatFindings('text', [], [{ message: 'no such stage' }]), /\n\nERROR: no such stage\n$/);
  });
});

describe('findings as JSON', () => {
  it('have the shape of docker build --call=check,format=json', () => {
    const json = JSON.parse(formatFindings('json', findings));
    assert.deepEqual(json.warnings[1], {
      ruleName: 'JSONArgsRecommended',
      description: rules.find(rule => rule.name === 'JSONArgsRecommended')?.description,
      url: 'https://docs.docker.com/go/dockerfile/rule/json-args-recommended/',
      detail: 'JSON arguments recommended for CMD to prevent unintended behavior related to OS signals',
      location: { ranges: [{ start: { line: 3 }, end: { line: 4 } }] },
    });
    const { data, ...source } = json.sources[0];
    assert.deepEqual(source, { filename: 'app/Dockerfile', language: 'Dockerfile' });
    assert.equal(Buffer.from(data, 'base64').toString(), file.text);
  });
  it('carry the error apart', () => {
    const json = JSON.parse(
      formatFindings('json', [], [{ message: 'no', range: findings[0]?.range }, { message: 'nor' }]),
    );
    assert.deepEqual(json.buildError, {
      message: 'no',
      location: { ranges: [{ start: { line: 1 }, end: { line: 1 } }] },
    });
  });
});

describe('findings as SARIF', () => {
  const runOf = (...failures: LintFailure[]) =>
    JSON.parse(formatFindings('sarif', findings, failures, '1.2.3')).runs[0];
  const run = runOf();
  it('refer to rules that the run describes, errors of the file too', () => {
    const idsOf = ({ tool }: typeof run) => new Set(tool.driver.rules.map((rule: { id: string }) => rule.id));
    assert.equal(idsOf(run).size, 22);
    const failed = runOf({ message: 'no such stage' });
    const described = idsOf(failed);
    assert.equal(failed.results.length, 3);
    for (const result of failed.results) assert.ok(described.has(result.ruleId), result.ruleId);
  });
  it('count columns from 1', () => {
    assert.deepEqual(run.results[0].locations[0].physicalLocation, {
      artifactLocation: { uri: 'app/Dockerfile' },
      region: { startLine: 1, startColumn: 17, endLine: 1, endColumn: 20 },
    });
  });
  it('say by which version they were found', () => assert.equal(run.tool.driver.version, '1.2.3'));
  it('name the file as a relative address, whatever it is called', () => {
    const odd = parseDockerfile({ name: 'a b/c:d#e?', text: file.text });
    const json = JSON.parse(formatFindings('sarif', lintDockerfile(odd)));
    const { uri } = json.runs[0].results[0].locations[0].physicalLocation.artifactLocation;
    assert.equal(uri, 'a%20b/c%3Ad%23e%3F');
  });
});
