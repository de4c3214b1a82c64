// What every exporter to a file or directory promises: all or nothing, the same bytes each time, nothing followed.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import { exportImage } from '../../src/export/export.ts';
import { parseOutput } from '../../src/export/output-spec.ts';
import { type ExportBench, never, withExportBench } from '../support/small-image.ts';

export interface ExporterCase {
  /** Of `-o`, without dest. */
  readonly spec: string;
  readonly makes: 'file' | 'directory';
}

export function exporterContract(exporter: ExporterCase): void {
  const specFor = (dest: string) => parseOutput(`${exporter.spec},dest=${dest}`);
  const run = async (bench: ExportBench, dest: string, signal = never) =>
    exportImage(await bench.input(['docker.io/library/app:1']), specFor(dest), bench.tools, signal);

  describe(`output ${exporter.spec}`, () => {
    it('appears under its name and nothing else appears', () =>
      withExportBench(async bench => {
        const receipt = await run(bench, 'out');
        assert.deepEqual(readdirSync(bench.cwd), ['out']);
        assert.equal(lstatSync(join(bench.cwd, 'out')).isDirectory(), exporter.makes === 'directory');
        assert.deepEqual(receipt.to, [join(bench.cwd, 'out')]);
      }));

    it('is the same bytes twice', () =>
      withExportBench(async bench => {
        await run(bench, 'a');
        await run(bench, 'b');
        assert.equal(fingerprint(join(bench.cwd, 'a')), fingerprint(join(bench.cwd, 'b')));
      }));

    it('makes the directories that lead to it', () =>
      withExportBench(async bench => {
        await run(bench, 'deep/er/out');
        assert.deepEqual(readdirSync(join(bench.cwd, 'deep/er')), ['out']);
      }));

    it('leaves nothing when a layer of the image is damaged', () =>
      withExportBench(async bench => {
        const input = await bench.input();
        const diffId = input.kind === 'image' ? input.image.diffIds[1] : undefined;
        const path = bench.store.blobs.path(diffId ?? assert.fail()) ?? '';
        const bytes = readFileSync(path);
        for (const damaged of [flipped(bytes), bytes.subarray(0, 512), Buffer.alloc(0)]) {
          writeFileSync(path, damaged);
          await assert.rejects(exportImage(input, specFor('deep/out'), bench.tools, never));
          assert.deepEqual(readdirSync(bench.cwd), []);
        }
      }));

    it('leaves nothing when it is aborted, and says so', () =>
      withExportBench(async bench => {
        await assert.rejects(run(bench, 'deep/out', AbortSignal.abort()), { code: 'interrupted' });
        assert.deepEqual(readdirSync(bench.cwd), []);
      }));

    it('keeps what was there when it fails', () =>
      withExportBench(async bench => {
        await run(bench, 'out');
        const before = fingerprint(join(bench.cwd, 'out'));
        await assert.rejects(run(bench, 'out', AbortSignal.abort()));
        assert.equal(fingerprint(join(bench.cwd, 'out')), before);
        await run(bench, 'out');
        assert.deepEqual(readdirSync(bench.cwd), ['out']);
      }));

    if (exporter.makes === 'file') fileContract(run);
    else directoryContract(run);
  });
}

type Run = (bench: ExportBench, dest: string, signal?: AbortSignal) => Promise<unknown>;

function fileContract(run: Run): void {
  it('does not follow a link that stands under its name', () =>
    withExportBench(async bench => {
      writeFileSync(join(bench.cwd, 'precious'), 'keep me');
      symlinkSync('precious', join(bench.cwd, 'out'));
      await run(bench, 'out');
      assert.equal(readFileSync(join(bench.cwd, 'precious'), 'utf8'), 'keep me');
      assert.equal(lstatSync(join(bench.cwd, 'out')).isFile(), true);
    }));

  it('ends with an error when the reader of standard output goes away', () =>
    withExportBench(async bench => {
      const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
      const stdout = new Writable({ write: (_chunk, _encoding, done) => done(gone) });
      const piped = { ...bench, tools: { ...bench.tools, stdout } };
      await assert.rejects(run(piped, '-'), { code: 'output' });
    }));

  it('stops in the middle when it is aborted', () =>
    withExportBench(async bench => {
      const stop = new AbortController();
      const stdout = new Writable({
        write(_chunk, _encoding, done) {
          stop.abort();
          setImmediate(done);
        },
      });
      const piped = { ...bench, tools: { ...bench.tools, stdout } };
      await assert.rejects(run(piped, '-', stop.signal), { code: 'interrupted' });
    }));

  it('refuses a directory in place of the file', () =>
    withExportBench(async bench => {
      mkdirSync(join(bench.cwd, 'out'));
      await assert.rejects(run(bench, 'out'), { code: 'usage' });
    }));

  it('goes to standard output with the same bytes, but not to a terminal', () =>
    withExportBench(async bench => {
      await run(bench, 'out');
      await run(bench, '-');
      assert.ok(bench.stdout().equals(readFileSync(join(bench.cwd, 'out'))));
      const onTerminal = { ...bench, tools: { ...bench.tools, stdoutIsTerminal: true } };
      await assert.rejects(run(onTerminal, '-'), { code: 'usage' });
    }));
}

function directoryContract(run: Run): void {
  it('refuses a file in place of the directory and keeps it', () =>
    withExportBench(async bench => {
      writeFileSync(join(bench.cwd, 'out'), 'mine');
      await assert.rejects(run(bench, 'out'));
      assert.equal(readFileSync(join(bench.cwd, 'out'), 'utf8'), 'mine');
    }));
}

/** One bit differs, in the content of the first file. */
function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const at = copy.indexOf('x', 1024);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

/** Of a file's bytes, or of everything below a directory: names, types, modes, contents. */
export function fingerprint(path: string): string {
  const hash = createHash('sha256');
  const visit = (at: Buffer) => {
    const stat = lstatSync(at);
    hash.update(`${stat.mode} `);
    if (stat.isSymbolicLink()) hash.update(readlinkSync(at, { encoding: 'buffer' }));
    else if (stat.isFile()) hash.update(readFileSync(at));
    else if (stat.isDirectory()) {
      const names = readdirSync(at, { encoding: 'buffer' }) as Buffer[];
      for (const name of names.sort(Buffer.compare)) {
        hash.update(name);
        visit(Buffer.concat([at, Buffer.from('/'), name]));
      }
    }
  };
  visit(Buffer.from(path));
  return hash.digest('hex');
}
