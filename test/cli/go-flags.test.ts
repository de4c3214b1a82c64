import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Command } from 'commander';
import { withoutGoForms } from '../../src/cli/go-flags.ts';
import { BuildError } from '../../src/errors.ts';

function program(): Command {
  const top = new Command('x').option('-D, --debug').option('--root <dir>');
  top
    .command('build')
    .alias('b')
    .argument('<context>')
    .option('-q, --quiet')
    .option('--no-cache')
    .option('--rm')
    .option('-p, --pull [policy]')
    .option('-t, --tag <name>')
    .option('--label <text>')
    .option('-l, --limit <soft[:hard]>');
  top.command('image').command('ls').option('-a, --all');
  return top;
}

const words = (line: string) => withoutGoForms(line.split(' '), program()).join(' ');

describe("flags in Go's form", () => {
  for (const [given, expected] of [
    ['build --no-cache=true .', 'build --no-cache .'],
    ['build --no-cache=false .', 'build .'],
    ['build --rm=1 -q=T --quiet=FALSE .', 'build --rm .'],
    ['build --rm --rm=false .', 'build .'],
    ['build --rm=false --rm .', 'build --rm .'],
    ['build -q --quiet=0 .', 'build .'],
    ['build -t=a:1 .', 'build -t a:1 .'],
    ['build -qt=a=b .', 'build -q -t a=b .'],
    ['build -ta=b .', 'build -ta=b .'],
    ['build -qta .', 'build -q -ta .'],
    ['build --limit 1 .', 'build --limit 1 .'],
    ['build -l 1 -l=2 .', 'build -l 1 -l 2 .'],
    ['build --pull .', 'build --pull=true .'],
    ['build -p .', 'build --pull=true .'],
    ['build -pq .', 'build --pull=true -q .'],
    ['build -p=never .', 'build --pull=never .'],
    ['build --tag=a --pull=true .', 'build --tag=a --pull=true .'],
    ['-D=true b -q=true .', '--debug b --quiet .'],
    ['build -D=true .', 'build --debug .'],
    ['image ls -a=false', 'image ls'],
    ['--root --rm=true build .', '--root --rm=true build .'],
    ['build --unknown=true -z=1 .', 'build --unknown=true -z=1 .'],
  ] as const) {
    test(`${given} is ${expected}`, () => assert.equal(words(given), expected));
  }

  test('are no flags where they are the value of one, or behind --', () => {
    assert.equal(
      words('build --label --rm=true -t -q=false -- --rm=true'),
      'build --label --rm=true -t -q=false -- --rm=true',
    );
  });

  test('of which one that is on or off cannot be anything else', () => {
    assert.throws(
      () => words('build --no-cache=maybe .'),
      (error: unknown) =>
        error instanceof BuildError && error.code === 'usage' && /maybe/.test(error.message),
    );
  });
});
