// Bad input: one clear message each, with a place where there is one, no stack trace, nothing left behind.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Program, program } from '../support/program.ts';

interface Case {
  readonly name: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly status?: number;
  readonly says: readonly RegExp[];
}

const cases: readonly Case[] = [
  { name: 'no Dockerfile', files: { other: '' }, says: [/Dockerfile/, /Containerfile/] },
  {
    name: 'unknown instruction',
    files: { Dockerfile: 'FROM scratch\nCOPPY a b\n' },
    says: [/COPPY/, /Dockerfile:2\n/, /> 2 \| COPPY a b/, /COPY/],
  },
  {
    name: 'missing COPY source',
    files: { Dockerfile: 'FROM scratch\nCOPY a b\nCOPY nothing.txt /\n', a: '' },
    says: [/nothing\.txt/, /Dockerfile:3\n/],
  },
  {
    name: 'COPY source that the ignore file hides',
    files: {
      Dockerfile: 'FROM scratch\nCOPY keep.log /\n',
      'keep.log': '',
      '.dockerignore': '# logs\n*.log\n',
    },
    says: [/keep\.log/, /\*\.log/, /\.dockerignore/, /\b2\b/],
  },
  {
    name: 'unknown target',
    files: { Dockerfile: 'FROM scratch AS build\nLABEL a=b\n' },
    args: ['--target', 'biuld'],
    says: [/biuld/, /build/],
  },
  { name: 'empty Dockerfile', files: { Dockerfile: '# nothing\n' }, says: [/no (build stage|instructions)/] },
  {
    name: 'two independent mistakes',
    files: { Dockerfile: 'FROM scratch\nFOO x\nCOPY\nEXPOSE\n' },
    says: [/FOO/, /Dockerfile:3\n/, /Dockerfile:4\n/],
  },
  {
    name: 'mistakes in words and in values, before the image is asked for',
    files: { Dockerfile: 'FROM no.invalid/base\nFOO x\nSTOPSIGNAL SIGTERN\nCOPY --chmod=999 . /\n' },
    says: [/FOO/, /Dockerfile:3\n/, /SIGTERM\?/, /Dockerfile:4\n/],
  },
  {
    name: 'unknown flag',
    args: ['--no-such-flag'],
    files: { Dockerfile: 'FROM scratch\n' },
    status: 2,
    says: [/--no-such-flag/],
  },
  {
    name: 'a flag nearly right',
    args: ['--squach'],
    files: { Dockerfile: 'FROM scratch\n' },
    status: 2,
    says: [/--squash/],
  },
  {
    name: 'a name that is none',
    args: ['-t', 'Upper:x'],
    files: { Dockerfile: 'FROM scratch\n' },
    status: 2,
    says: [/lower case/],
  },
  {
    name: 'an output that is none',
    args: ['-o', 'type=dcoker,dest=x'],
    files: { Dockerfile: 'FROM scratch\n' },
    status: 2,
    says: [/dcoker/, /docker/],
  },
  {
    name: 'pushing without a name',
    args: ['--push'],
    files: { Dockerfile: 'FROM scratch\n' },
    status: 2,
    says: [/-t /],
  },
];

function context(slipway: Program, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

for (const { name, files = {}, args = [], status = 1, says } of cases) {
  test(`${name}: one clear message`, async () => {
    using slipway = program();
    const dest = join(slipway.dir, 'out.tar');
    const output = args.some(arg => arg === '-o') ? [] : ['-o', `type=oci,dest=${dest}`];
    const ended = await slipway.run(['build', ...output, ...args, context(slipway, files)]);
    assert.equal(ended.status, status, ended.stderr);
    for (const pattern of says) assert.match(ended.stderr, pattern);
    assert.match(ended.stderr, /^error: /m);
    assert.doesNotMatch(ended.stderr, / {4}at .*:\d+:\d+/, 'no stack trace without --debug');
    assert.equal(ended.stdout, '');
    assert.equal(existsSync(dest), false);
  });
}

test('all missing COPY sources are said at once, before anything is executed', async () => {
  using slipway = program();
  const dockerfile = 'FROM scratch\nRUN ["/would-fail-too"]\nCOPY one /\nCOPY A.txt two /\n';
  const ended = await slipway.run(['build', context(slipway, { Dockerfile: dockerfile, 'a.txt': '' })]);
  assert.equal(ended.status, 1);
  const errors = ended.stderr.split('\n').filter(line => line.startsWith('error: '));
  assert.deepEqual(
    errors,
    ['one', 'A.txt', 'two'].map(name => `error: "/${name}" was not found in the build context`),
  );
  assert.match(ended.stderr, /Dockerfile:4\n/);
  assert.match(ended.stderr, /did you mean "a\.txt"/);
  assert.doesNotMatch(ended.stderr, /^#\d+ \[/m, 'a step began');
});

test('--debug shows where in the program', async () => {
  using slipway = program();
  const ended = await slipway.run([
    'build',
    '--debug',
    context(slipway, { Dockerfile: 'FROM scratch\nCOPY x /\n' }),
  ]);
  assert.match(ended.stderr, / {4}at .*:\d+:\d+/);
});

test('a context that does not exist is named', async () => {
  using slipway = program();
  const ended = await slipway.run(['build', join(slipway.dir, 'nowhere')]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /nowhere/);
});

test('an undeclared build argument is a warning with a suggestion, not an error', async () => {
  using slipway = program();
  const dir = context(slipway, { Dockerfile: 'FROM scratch\nARG VERSION\nLABEL v=$VERSION\n' });
  const ended = await slipway.must(['build', '--progress=plain', '--build-arg', 'VERSON=1', '-t', 'x', dir]);
  assert.match(ended.stderr, /warning: .*VERSON/);
  assert.match(ended.stderr, /VERSION/);
});

test('what files are called does not reach the terminal as it is, in messages of the system neither', async () => {
  using slipway = program();
  const red = 'name\u001b[31m';
  const context = mkdtempSync(join(slipway.dir, 'context-'));
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nLABEL a=b\n');
  for (const args of [
    ['--iidfile', join(slipway.dir, 'no', red)],
    ['--secret', `id=a,src=/no/${red}`],
    ['--metadata-file', join(slipway.dir, 'no', red)],
  ]) {
    const { status, stderr } = await slipway.run(['build', ...args, context]);
    assert.notEqual(status, 0);
    assert.match(stderr, /ENOENT.*name\\u001b\[31m/);
    assert.ok(!stderr.includes('\u001b'), JSON.stringify(stderr));
  }
});
