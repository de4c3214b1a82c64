import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from '../../src/registry/challenge.ts';

const read = (header: string) =>
  parseChallenges(header).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);

describe('RG-12: WWW-Authenticate', () => {
  for (const [header, expected] of [
    [
      'Bearer realm="https://a/t",service="reg",scope="repository:x:pull,push"',
      [['bearer', { realm: 'https://a/t', service: 'reg', scope: 'repository:x:pull,push' }]],
    ],
    ['Basic realm="my, \\"quoted\\" realm"', [['basic', { realm: 'my, "quoted" realm' }]]],
    [
      'Basic realm=plain, Bearer realm = "https://b" , error=x',
      [
        ['basic', { realm: 'plain' }],
        ['bearer', { realm: 'https://b', error: 'x' }],
      ],
    ],
    [
      'Negotiate, Basic',
      [
        ['negotiate', {}],
        ['basic', {}],
      ],
    ],
    ['bearer REALM="one",realm="two"', [['bearer', { realm: 'one' }]]],
    ['', []],
    [' , ,', []],
    ['=nonsense', []],
    ['Bearer realm="never ends', [['bearer', {}]]],
    ['Bearer realm="a"; service="b"', [['bearer', { realm: 'a' }]]],
  ] as const) {
    it(`reads ${JSON.stringify(header)}`, () => assert.deepEqual(read(header), expected));
  }

  it('reads a bounded part of an endless header', () => {
    assert.ok(parseChallenges('Basic, '.repeat(100_000)).length <= 16);
    const [first] = parseChallenges(`Bearer ${Array.from({ length: 100_000 }, (_, i) => `p${i}=1`).join()}`);
    assert.ok(first && first.params.size <= 64);
    assert.deepEqual(read(`Bearer realm="${'\\'.repeat(1_000_000)}`), [['bearer', {}]]);
  });

  it('reads any text without failing', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), text => Array.isArray(parseChallenges(text))));
    const pieces = fc.constantFrom('Bearer', 'realm', '=', '"', ',', ' ', '\\', 'x', '\0');
    fc.assert(fc.property(fc.array(pieces), parts => Array.isArray(parseChallenges(parts.join('')))));
  });
});
