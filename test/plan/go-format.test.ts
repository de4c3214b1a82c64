// Go's formats, against values that Go prints.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatDuration, quote, quoteRune } from '../../src/plan/go-format.ts';

describe('a quoted text', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['a b', '"a b"'],
    ['"\\', '"\\"\\\\"'],
    ['\u0007\b\f\n\r\t\v', '"\\a\\b\\f\\n\\r\\t\\v"'],
    ['\u0001\u007f', '"\\x01\\x7f"'],
    ['é世😀', '"é世😀"'],
    ['\u00a0\u200b\ufeff', '"\\u00a0\\u200b\\ufeff"'],
    ['\u{e0001}', '"\\U000e0001"'],
  ];
  for (const [text, expected] of cases) {
    it(`of ${JSON.stringify(text)} is ${expected}`, () => assert.equal(quote(text), expected));
  }
});

describe('a number as a character', () => {
  for (const [code, expected] of [
    [0, "'\\x00'"],
    [3, "'\\x03'"],
    [10, "'\\n'"],
    [39, "'\\''"],
    [34, "'\"'"],
    [65, "'A'"],
    [0x110000, "'\ufffd'"],
  ] as const) {
    it(`for ${code} is ${expected}`, () => assert.equal(quoteRune(code), expected));
  }
});

describe('a duration', () => {
  for (const [nanoseconds, expected] of [
    [0, '0s'],
    [1, '1ns'],
    [1100, '1.1µs'],
    [2_200_000, '2.2ms'],
    [1_500_000_000, '1.5s'],
    [90_000_000_000, '1m30s'],
    [3_600_000_000_000, '1h0m0s'],
    [86_400_000_000_001, '24h0m0.000000001s'],
    [-1_500_000_000, '-1.5s'],
  ] as const) {
    it(`of ${nanoseconds} ns is ${expected}`, () => assert.equal(formatDuration(nanoseconds), expected));
  }
});
