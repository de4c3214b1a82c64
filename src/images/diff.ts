// What differs between the file systems of two images.
import type { View } from '../layer/layers.ts';
import { makeView } from '../layer/view.ts';
import type { BytePath, Entry } from '../tree/entry.ts';
import type { OpenedImage } from './source.ts';
import type { ImageTools } from './tools.ts';

/** A: only in the second image; D: only in the first; C: in both, and not the same. */
export interface Difference {
  readonly kind: 'A' | 'C' | 'D';
  readonly path: BytePath;
}

/** In byte order of the paths. Times do not count; of a directory its own mode, owner and attributes do. */
export async function diffImages(
  before: OpenedImage,
  after: OpenedImage,
  tools: ImageTools,
): Promise<Difference[]> {
  const [old, now] = [await viewOf(before, tools), await viewOf(after, tools)];
  const found: Difference[] = [];
  const candidates: (readonly [Entry, Entry])[] = [];
  const visit = (dir: BytePath): void => {
    const names = new Set([...old.list(dir), ...now.list(dir)]);
    for (const name of names) {
      const path = (dir === '' ? name : `${dir}/${name}`) as BytePath;
      const [a, b] = [old.lookup(path), now.lookup(path)];
      if (!a) found.push({ kind: 'A', path });
      else if (!b) found.push({ kind: 'D', path });
      else if (describe(a) !== describe(b)) found.push({ kind: 'C', path });
      else if (a.type === 'file') candidates.push([a, b]);
      if (a?.type === 'directory' || b?.type === 'directory') visit(path);
    }
  };
  visit('' as BytePath);
  const digests = [
    await old.contentDigests(candidates.map(([a]) => a)),
    await now.contentDigests(candidates.map(([, b]) => b)),
  ] as const;
  candidates.forEach(([{ path }], i) => {
    if (digests[0][i] !== digests[1][i]) found.push({ kind: 'C', path });
  });
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Everything about an entry but its time and content. */
function describe({ mtimeSec: _sec, mtimeNsec: _nsec, ...entry }: Entry): string {
  const xattrs = Object.entries(entry.xattrs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([
    entry.type,
    entry.mode,
    entry.uid,
    entry.gid,
    entry.size,
    entry.linkTarget ?? '',
    entry.devMajor ?? 0,
    entry.devMinor ?? 0,
    xattrs,
  ]);
}

/** The file system of an image, in memory; layers are fetched as needed. */
export async function viewOf(image: OpenedImage, { layers, signal }: ImageTools): Promise<View> {
  const { diffIds } = image.config;
  diffIds.forEach((diffId, i) => {
    const blob = image.manifest.layers[i];
    if (blob) layers.adopt(diffId, blob);
  });
  return makeView(await Promise.all(diffIds.map(id => layers.index(id, signal))), 'the image');
}
