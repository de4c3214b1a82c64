// A small finished image on a real store, for the exporters: files, a link, a hard link, a read-only directory, a name
// that is no UTF-8, and in the second layer a whiteout.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { ExportInput, FinishedImage } from '../../src/export/finished-image.ts';
import type { ExportTools, Push } from '../../src/export/tools.ts';
import { encodeConfig, type ImageConfig } from '../../src/image/config.ts';
import { type DiffId, digestOf } from '../../src/image/digest.ts';
import type { Platform } from '../../src/image/platform.ts';
import { openLayers } from '../../src/layer/store-layers.ts';
import { makeView } from '../../src/layer/view.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { BytePath, EntryType, LayerEntry, LayerInput } from '../../src/tree/entry.ts';
import { withTempDir } from './temp-dir.ts';

export interface ExportBench {
  /** Working directory of the exporter, empty. */
  readonly cwd: string;
  readonly store: Store;
  readonly tools: ExportTools;
  readonly pushed: Parameters<Push>[0][];
  /** What went to standard output. */
  readonly stdout: () => Buffer;
  image(names?: readonly string[], platform?: Platform): Promise<FinishedImage>;
  input(names?: readonly string[]): Promise<ExportInput>;
}

export const never: AbortSignal = new AbortController().signal;

export function withExportBench(work: (bench: ExportBench) => Promise<void>): Promise<void> {
  return withTempDir(async dir => {
    mkdirSync(join(dir, 'cwd'));
    const store = await openStore(join(dir, 'store'));
    try {
      await work(await makeBench(join(dir, 'cwd'), store));
    } finally {
      await store.close();
    }
  });
}

async function makeBench(cwd: string, store: Store): Promise<ExportBench> {
  const layers = openLayers(store, {
    fetch: () => Promise.reject(new Error('nothing can be fetched here')),
  });
  const chunks: Buffer[] = [];
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk));
      done();
    },
  });
  const pushed: Parameters<Push>[0][] = [];
  const tools: ExportTools = {
    store,
    layers,
    view: async (ids, signal) =>
      makeView(await Promise.all(ids.map(id => layers.index(id, signal))), 'the image'),
    push: async target => void pushed.push(target),
    stdout,
    stdoutIsTerminal: false,
    cwd,
  };
  const image = async (names: readonly string[] = [], platform: Platform = amd64) => {
    const diffIds: DiffId[] = [await layers.write(lower, never), await layers.write(upper, never)];
    const config: ImageConfig = {
      platform,
      config: { Cmd: ['/bin/tool'] },
      diffIds,
      history: [{ created_by: 'one' }, { created_by: 'two' }],
      rest: {},
    };
    const configBytes = encodeConfig(config);
    return {
      config,
      configBytes,
      configDigest: digestOf(configBytes),
      layers: diffIds,
      diffIds,
      baseLayers: 0,
      platform,
      names,
      annotations: { 'org.example.from': 'flag' },
    };
  };
  return {
    cwd,
    store,
    tools,
    pushed,
    stdout: () => Buffer.concat(chunks),
    image,
    input: async names => ({ kind: 'image', image: await image(names) }),
  };
}

const amd64: Platform = { os: 'linux', architecture: 'amd64' };

function entry(path: string, type: EntryType | 'whiteout', more: Partial<LayerEntry> = {}): LayerEntry {
  const mode = type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644;
  const common = { mode, uid: 0, gid: 0, mtimeSec: 1_600_000_000, mtimeNsec: 0, size: 0 };
  return { ...common, path: path as BytePath, type, ...more };
}

function file(path: string, text: string, more: Partial<LayerEntry> = {}): LayerInput {
  const bytes = Buffer.from(text);
  return { entry: entry(path, 'file', { size: bytes.length, ...more }), content: { kind: 'bytes', bytes } };
}

const lower: LayerInput[] = [
  { entry: entry('bin', 'directory') },
  file('bin/tool', '#!/bin/sh\necho tool\n', { mode: 0o755 }),
  { entry: entry('bin/twin', 'hardlink', { linkTarget: 'bin/tool', mode: 0o755 }) },
  file('gone', 'not in the end'),
  file('caf\xe9', 'latin1 name'),
];

const upper: LayerInput[] = [
  { entry: entry('closed', 'directory', { mode: 0o555 }) },
  file('closed/setuid', 'x', { mode: 0o4755, uid: 12345 }),
  { entry: entry('gone', 'whiteout') },
  { entry: entry('link', 'symlink', { linkTarget: '/etc/passwd' }) },
];
