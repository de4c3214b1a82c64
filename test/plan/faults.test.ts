// What is wrong whatever the images are is told before any is asked for, with everything else.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import type { PlanOptions } from '../../src/plan/options.ts';
import { outlineOf } from './planning.ts';

/** Lines that are refused before an image is known. */
function refused(text: string, options: Partial<PlanOptions> = {}): number[] {
  try {
    outlineOf(text, options);
    return [];
  } catch (error) {
    assert.ok(error instanceof BuildError, String(error));
    return [error, ...error.diagnostics].map(({ range }) => range?.start.line ?? 0);
  }
}

describe('faults that no image can mend', () => {
  it('are refused together, in the order of the file', () => {
    const text = 'FROM busybox\nCOPY --chmod=9999 a /\nCOPY --from=7 a /\nSTOPSIGNAL SIGTERN\nEXPOSE x\n';
    assert.deepEqual(refused(text), [2, 3, 4, 5]);
  });
  it('come with what the parser found', () => {
    assert.deepEqual(refused('FROM busybox\nFOO\nSTOPSIGNAL SIGTERN\nENV a\n'), [2, 3, 4]);
  });
  it('are left alone behind a FROM that was not understood', () => {
    assert.deepEqual(refused('FROM busybox\nFROM a b c\nSTOPSIGNAL SIGTERN\n'), [2]);
  });
  it('are found where the value is known, or the variable cannot come from an image', () => {
    assert.deepEqual(refused('FROM busybox\nARG S=SIGTERN\nSTOPSIGNAL $S\n'), [3]);
    assert.deepEqual(refused('FROM scratch\nENV a=${NOPE:?needed}\n'), [2]);
  });
  it('are found in the ONBUILD of a stage below', () => {
    assert.deepEqual(refused('FROM scratch AS a\nONBUILD EXPOSE x\nFROM a\n'), [2]);
    assert.deepEqual(refused('FROM scratch\nONBUILD EXPOSE x\n'), []);
  });
});

describe('what may still be right', () => {
  const cases: [string, string, Partial<PlanOptions>?][] = [
    ['a variable that the image may set', 'FROM busybox\nSTOPSIGNAL $SIGNAL\nENV a=${NEEDED:?x}\n'],
    ['a variable that ARG leaves to the image', 'FROM busybox\nARG NEEDED\nENV a=${NEEDED:?x}\n'],
    ['what follows in a stage on such an image', 'FROM busybox AS a\nFROM a\nEXPOSE $PORT\n'],
    ['a stage that the target does not need', 'FROM scratch\nEXPOSE x\nFROM scratch\n'],
    [
      'a stage that a named context stands in for',
      'FROM scratch AS a\nEXPOSE x\nFROM a\nEXPOSE $PORT\n',
      { namedContexts: new Map([['a', { kind: 'image', reference: 'busybox' }]]) },
    ],
  ];
  for (const [name, text, options] of cases) it(name, () => assert.deepEqual(refused(text, options), []));
});

it('a file of many variables is looked through within bounds', () => {
  const text = `FROM scratch\n${Array.from({ length: 40_000 }, (_, i) => `ENV v${i}=1\n`).join('')}`;
  assert.deepEqual(refused(text), []);
});

it('an ENV of many variables is looked through within bounds', () => {
  const pairs = Array.from({ length: 80_000 }, (_, i) => `v${i}=1`);
  assert.deepEqual(refused(`FROM scratch\nENV ${pairs.join(' \\\n')}\nEXPOSE x\n`), [80_002]);
});

it('a file of many warnings and one mistake is looked through within bounds', () => {
  assert.deepEqual(refused(`FROM scratch\n${'RUN a \\\n\n b\n'.repeat(80_000)}FOO\n`), [240_002]);
});

it('a file of many triggers and many stages on them is looked through within bounds', () => {
  const text = `FROM scratch AS a\n${'ONBUILD USER x\n'.repeat(10_000)}${'FROM a\n'.repeat(40_000)}EXPOSE x\nFOO\n`;
  assert.ok(refused(text).length > 0);
});

it('circles are looked for within bounds among many stages on many triggers', () => {
  const text = `FROM scratch AS a\n${'ONBUILD USER x\n'.repeat(10_000)}${'FROM a\n'.repeat(40_000)}`;
  assert.deepEqual(refused(text), []);
});

it('triggers that copy from stages are looked through once, and circles through them found', () => {
  const triggers = 'ONBUILD COPY --from=b x y\n'.repeat(15_000);
  const file = (from: string) =>
    `FROM ${from} AS a\n${triggers}${'FROM a\n'.repeat(60_000)}FROM scratch AS b\n`;
  assert.deepEqual(refused(file('scratch')), []);
  assert.deepEqual(refused(`FROM b AS c\n${file('c')}`), []);
  assert.deepEqual(
    refused(`FROM b AS c\n${file('c').replace(/FROM scratch AS b\n$/, 'FROM a AS b\n')}`),
    [75_003],
  );
});
