// The tar reader against what other programs write and read: GNU tar in all its formats, Python, and our own writer;
// and against archives that were damaged at random.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TarWriter } from '../../src/archive/tar-writer.ts';
import { BuildError } from '../../src/errors.ts';
import { walkTree } from '../../src/tree/walk.ts';
import { archive, file, longName, pax, readAll, record, symlink } from '../support/tar-bytes.ts';
import { withTempDir } from '../support/temp-dir.ts';

function run(program: string, args: readonly string[], input?: Buffer): Buffer {
  const result = spawnSync(program, args, {
    input,
    maxBuffer: 1 << 28,
    env: { ...process.env, LC_ALL: 'C' },
  });
  assert.equal(result.status, 0, `${program} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

function makeTree(root: string): void {
  mkdirSync(join(root, 'dir'), { mode: 0o750 });
  writeFileSync(join(root, 'dir/file'), 'content\n', { mode: 0o640 });
  linkSync(join(root, 'dir/file'), join(root, 'dir/zlink'));
  symlinkSync('../dir/file', join(root, 'dir/symlink'));
  symlinkSync('t'.repeat(90), join(root, 'dir/long'));
  run('mkfifo', [join(root, 'fifo')]);
  const deep = join(root, 'd'.repeat(60), 'e'.repeat(60));
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, 'f'.repeat(60)), 'deep');
}

/** A file with data at its begin, somewhere inside and a hole at its end. */
function makeSparse(path: string): void {
  const fd = openSync(path, 'w');
  writeSync(fd, 'first', 0);
  for (let i = 1; i < 60; i++) writeSync(fd, `part ${i}`, i * 65536);
  ftruncateSync(fd, 5_000_000);
  closeSync(fd);
}

describe('TarReader reads what GNU tar writes', () => {
  for (const format of ['v7', 'ustar', 'oldgnu', 'gnu', 'posix']) {
    it(`in format ${format}`, async () => {
      await withTempDir(root => {
        makeTree(root);
        // v7 has neither fifos nor names over 100 bytes.
        const leaveOut = format === 'v7' ? ['--exclude=./fifo', '--exclude=./ddd*'] : [];
        const bytes = run('tar', [
          '-c',
          `--format=${format}`,
          '--numeric-owner',
          ...leaveOut,
          '-C',
          root,
          '--sort=name',
          '.',
        ]);
        const expected = walkTree(root, {
          choose: path => (format === 'v7' && (path === 'fifo' || path.startsWith('ddd')) ? 'skip' : 'take'),
        });
        const entries = readAll(bytes, 777).filter(entry => entry.path !== '');
        const known = ({
          path,
          type,
          mode,
          uid,
          gid,
          mtimeSec,
          size,
          linkTarget,
        }: (typeof expected)[number]) => ({
          path,
          type,
          mode,
          uid,
          gid,
          mtimeSec,
          size,
          linkTarget,
        });
        const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1);
        assert.deepEqual(entries.map(known).sort(byPath), expected.map(known));
        const content = entries.find(entry => entry.path === 'dir/file')?.content.toString();
        assert.equal(content, 'content\n');
      });
    });
  }
  for (const [format, version] of [
    ['gnu', ''],
    ['posix', '0.0'],
    ['posix', '0.1'],
    ['posix', '1.0'],
  ] as const) {
    it(`with sparse files in format ${format} ${version}`, async () => {
      await withTempDir(root => {
        makeSparse(join(root, 'sparse'));
        const how = version === '' ? [] : [`--sparse-version=${version}`];
        const bytes = run('tar', ['-c', '-S', `--format=${format}`, ...how, '-C', root, 'sparse']);
        assert.ok(bytes.length < 1_000_000, 'tar did not write it sparse');
        const [entry] = readAll(bytes, 10_000);
        assert.deepEqual([entry?.path, entry?.size], ['sparse', 5_000_000]);
        assert.ok(entry?.content.equals(run('cat', [join(root, 'sparse')])));
      });
    });
  }
  it('with attributes', async () => {
    await withTempDir(root => {
      writeFileSync(join(root, 'f'), 'x');
      run('python3', [
        '-c',
        'import os,sys; os.setxattr(sys.argv[1], "user.bytes", bytes(range(256)))',
        join(root, 'f'),
      ]);
      const [entry] = readAll(run('tar', ['-c', '--xattrs', '-C', root, 'f']));
      const all = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
      assert.deepEqual(entry?.xattrs, { 'user.bytes': all });
    });
  });
});

describe('GNU tar reads what TarWriter writes', () => {
  it('and makes the same tree of it', async () => {
    await withTempDir(root => {
      const from = join(root, 'from');
      const to = join(root, 'to');
      mkdirSync(from);
      mkdirSync(to);
      makeTree(from);
      const chunks: Buffer[] = [];
      const writer = new TarWriter(chunk => void chunks.push(Buffer.from(chunk)));
      for (const entry of walkTree(from)) {
        writer.entry(entry);
        if (entry.type === 'file') writer.data(run('cat', [join(from, entry.path)]));
      }
      writer.finish();
      run('tar', ['-x', '-p', '-C', to], Buffer.concat(chunks));
      const whole = (dir: string) => walkTree(dir).map(entry => ({ ...entry, mtimeNsec: 0 }));
      assert.deepEqual(whole(to), whole(from));
    });
  });
});

describe('TarReader on damaged archives', () => {
  const sample = archive(
    pax(record('path', 'long/name') + record('mtime', '5.5') + record('SCHILY.xattr.user.a', 'b')),
    file('f', 'content'),
    longName('another/name'),
    file('g', 'x'.repeat(700), { magic: 'ustar  \0' }),
    symlink('s', 't'),
    pax(
      record('GNU.sparse.major', '1') + record('GNU.sparse.minor', '0') + record('GNU.sparse.realsize', '99'),
    ),
    file('sparse', `1\n5\n3\n${'\0'.repeat(506)}abc`),
  );
  it('ends with entries or a BuildError that says what is wrong, whatever was changed', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: sample.length - 1 }), fc.integer({ min: 0, max: 255 }));
    const fix = fc.boolean();
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fix,
        fc.integer({ min: 1, max: 9000 }),
        (changes, sum, step) => {
          const bytes = Buffer.from(sample);
          for (const [at, value] of changes) {
            bytes[at] = value;
            if (sum) correctChecksum(bytes, at - (at % 512));
          }
          try {
            readAll(bytes, step);
          } catch (error) {
            assert.ok(error instanceof BuildError && error.code !== 'internal', String(error));
          }
        },
      ),
      { numRuns: 3000 },
    );
  });
  it('makes the same of an archive whatever pieces it comes in', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: sample.length - 1 }), fc.integer({ min: 0, max: 255 }));
    const outcome = (bytes: Buffer, step: number): unknown => {
      try {
        return readAll(bytes, step);
      } catch (error) {
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(change, fc.integer({ min: 1, max: 1000 }), ([at, value], step) => {
        const bytes = Buffer.from(sample);
        bytes[at] = value;
        correctChecksum(bytes, at - (at % 512));
        assert.deepEqual(outcome(bytes, step), outcome(bytes, bytes.length));
      }),
      { numRuns: 500 },
    );
  });
});

/** Makes a changed header valid again where it was one, so that the change is looked at. */
function correctChecksum(bytes: Buffer, at: number): void {
  if (bytes.toString('latin1', at + 257, at + 262) !== 'ustar') return;
  bytes.write('        ', at + 148, 'latin1');
  const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 8, 'latin1');
}
