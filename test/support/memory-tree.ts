// A file system in memory, as a View: what COPY reads from and writes to in tests.
import { digestOf } from '../../src/image/digest.ts';
import type { View } from '../../src/layer/layers.ts';
import { makeView } from '../../src/layer/view.ts';
import { type BytePath, bytePath, type ContentSource, type LayerEntry } from '../../src/tree/entry.ts';

/** Text is a file's content; `mode` and the rest default as for a file made by root. */
export type MemoryFile = string | (Partial<Omit<LayerEntry, 'path'>> & { readonly text?: string });

/** A name that ends with `/` is a directory; parents that are not named are directories of mode 0755. */
export function memoryTree(files: Readonly<Record<string, MemoryFile>>, description = 'the test tree'): View {
  const entries = new Map<string, LayerEntry>();
  const contents = new Map<string, Buffer>();
  for (const [name, file] of Object.entries(files)) {
    const path = bytePath(name.replace(/\/$/, ''));
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      const parent = path.slice(0, at) as BytePath;
      if (!entries.has(parent)) entries.set(parent, entryOf(parent, { type: 'directory' }));
    }
    const spec = typeof file === 'string' ? { text: file } : file;
    const bytes = Buffer.from(spec.text ?? '');
    contents.set(path, bytes);
    const type = spec.type ?? (name.endsWith('/') ? 'directory' : 'file');
    entries.set(path, entryOf(path, { ...spec, type }, bytes.length));
  }
  const content = (entry: LayerEntry): ContentSource => ({
    kind: 'bytes',
    bytes: contents.get(entry.path) ?? Buffer.alloc(0),
  });
  const sorted = [...entries.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  return makeView([{ entries: sorted, content }], description, {
    hashContents: async sources => sources.map(s => digestOf(s.kind === 'bytes' ? s.bytes : '')),
  });
}

function entryOf(
  path: BytePath,
  spec: Partial<LayerEntry> & { readonly text?: string },
  size = 0,
): LayerEntry {
  const { text: _, ...rest } = spec;
  const type = spec.type ?? 'file';
  return {
    path,
    mode: type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644,
    uid: 0,
    gid: 0,
    mtimeSec: 1_600_000_000,
    mtimeNsec: 0,
    size: type === 'file' ? size : 0,
    ...rest,
    type,
  };
}
