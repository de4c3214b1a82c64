// Packing a tar: what goes into the store goes to the tap as well.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { digestOf } from '../../src/image/digest.ts';
import type { BlobTap } from '../../src/layer/layers.ts';
import { packTar } from '../../src/layer/pack.ts';
import { withTempDir } from '../support/temp-dir.ts';

const never = new AbortController().signal;
const gzip = { compression: 'gzip', level: 4 } as const;
const bytes = Buffer.concat([randomBytes(3_000_000), Buffer.alloc(3_000_000)]);

function emptyFile(dir: string): string {
  const path = join(dir, 'blob');
  writeFileSync(path, '');
  return path;
}

function collector() {
  const said: string[] = [];
  const hash = createHash('sha256');
  const tap: BlobTap = {
    write: async chunk => void hash.update(chunk),
    end: async digest => void said.push(`end ${digest}`),
    abort: () => void said.push('abort'),
  };
  return { tap, said, digest: () => `sha256:${hash.digest('hex')}` };
}

describe('packing with a tap', () => {
  it('gives the tap every byte of the blob and then its digest', () =>
    withTempDir(async dir => {
      writeFileSync(join(dir, 'tar'), bytes);
      const { tap, said, digest } = collector();
      const into = emptyFile(dir);
      const packed = await packTar(join(dir, 'tar'), digestOf(bytes), into, gzip, never, () => tap);
      assert.equal(digest(), packed.digest);
      assert.deepEqual(said, [`end ${packed.digest}`]);
      assert.equal(digestOf(readFileSync(into)), packed.digest);
      assert.ok(gunzipSync(readFileSync(into)).equals(bytes));
    }));

  it('goes on without one that cannot be opened', () =>
    withTempDir(async dir => {
      writeFileSync(join(dir, 'tar'), bytes);
      const broken = () => Promise.reject(new Error('no network'));
      const into = emptyFile(dir);
      const packed = await packTar(join(dir, 'tar'), digestOf(bytes), into, gzip, never, broken);
      assert.equal(digestOf(readFileSync(into)), packed.digest);
    }));

  it('takes back what was given when the tar turns out to be damaged', () =>
    withTempDir(async dir => {
      writeFileSync(join(dir, 'tar'), bytes);
      const { tap, said } = collector();
      const promised = digestOf('something else');
      await assert.rejects(
        packTar(join(dir, 'tar'), promised, emptyFile(dir), gzip, never, () => tap),
        { code: 'store' },
      );
      assert.deepEqual(said, ['abort']);
    }));
});
