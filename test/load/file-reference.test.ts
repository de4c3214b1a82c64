// References to images in files.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../../src/image/digest.ts';
import { chooseImage, parseFileReference } from '../../src/load/file-reference.ts';

test('a scheme, a path, and what chooses one of several images', () => {
  const parse = (text: string) => parseFileReference(text, '/work');
  assert.deepEqual(parse('docker-archive:a.tar'), { kind: 'archive', format: 'docker', path: '/work/a.tar' });
  assert.deepEqual(parse('docker-archive:/x/a.tar:app:1'), {
    kind: 'archive',
    format: 'docker',
    path: '/x/a.tar',
    select: 'app:1',
  });
  assert.deepEqual(parse('oci:dir:v1'), {
    kind: 'directory',
    format: 'oci',
    path: '/work/dir',
    select: 'v1',
  });
  assert.deepEqual(parse('oci-layout:///d'), { kind: 'directory', format: 'oci', path: '/d' });
  const digest = `sha256:${'a'.repeat(64)}`;
  assert.equal(parse(`oci-archive:a.tar@${digest}`)?.select, digest);
  assert.equal(parse('busybox:latest'), undefined);
  assert.equal(parse('docker://busybox'), undefined);
  assert.throws(() => parse('oci:'), { code: 'usage' });
});

test('one image is meant, or the names that there are come with the error', () => {
  const image = (digit: string, ...names: string[]) => ({
    descriptor: { mediaType: 'm', digest: `sha256:${digit.repeat(64)}` as Digest, size: 1 },
    names,
  });
  const file = { kind: 'archive', format: 'oci', path: '/a.tar' } as const;
  const [a, again, b] = [image('a', 'docker.io/library/app:1'), image('a', 'app:2'), image('b', 'other:1')];
  assert.equal(chooseImage([a, again], file), a); // one image under two names
  assert.throws(() => chooseImage([a, b], file), { code: 'not-found', hint: /app:1, other:1/ });
  assert.equal(chooseImage([a, b], { ...file, select: 'other:1' }), b);
  assert.equal(chooseImage([a, b], { ...file, select: 'app:1' }), a);
  assert.equal(chooseImage([a, b], { ...file, select: b.descriptor.digest }), b);
  assert.throws(() => chooseImage([a, b], { ...file, select: 'none' }), { code: 'not-found' });
  assert.throws(() => chooseImage([], file), { code: 'not-found' });
});
