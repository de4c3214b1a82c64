// Small tars in memory, for tests that need a layer as somebody else would have packed it.
import { TarWriter } from '../../src/archive/tar-writer.ts';
import type { BytePath, Entry } from '../../src/tree/entry.ts';

export type TarSpec = Partial<Omit<Entry, 'path' | 'size'>> & {
  readonly path: string;
  readonly text?: string;
};

/** The entries in the order given, whatever it is. */
export function tarBytes(...specs: readonly TarSpec[]): Buffer {
  const chunks: Buffer[] = [];
  const writer = new TarWriter(chunk => chunks.push(Buffer.from(chunk)));
  for (const { text = '', ...spec } of specs) {
    const common = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeSec: 1_000_000, mtimeNsec: 0 } as const;
    const mode = spec.type === 'directory' ? 0o755 : common.mode;
    writer.entry({ ...common, mode, ...spec, path: spec.path as BytePath, size: Buffer.byteLength(text) });
    writer.data(Buffer.from(text));
  }
  writer.finish();
  return Buffer.concat(chunks);
}
