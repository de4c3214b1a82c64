// Platforms as people write them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPlatform, parsePlatform } from '../../src/image/platform.ts';

const read = (text: string) => formatPlatform(parsePlatform(text));

test('an architecture alone is that of Linux', () => {
  for (const [text, platform] of [
    ['arm64', 'linux/arm64'],
    ['x86_64', 'linux/amd64'],
    ['armhf', 'linux/arm/v7'],
    ['s390x', 'linux/s390x'],
    ['linux/new', 'linux/new'],
  ] as const) {
    assert.equal(read(text), platform);
  }
});

test('a word that is neither a system nor an architecture is no platform', () => {
  for (const text of ['bogus', 'linx', 'arm46', '']) assert.throws(() => read(text), /is not a platform/);
});
