// Images in a real store, made of nothing but a config and layers of one file.
import { join } from 'node:path';
import { type ContainerConfig, encodeConfig } from '../../src/image/config.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import type { DiffId } from '../../src/image/digest.ts';
import { encodeManifest } from '../../src/image/manifest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { hostPlatform, type Platform } from '../../src/image/platform.ts';
import type { ImageTools } from '../../src/images/tools.ts';
import { openLayers } from '../../src/layer/store-layers.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import type { BytePath } from '../../src/tree/entry.ts';
import { withTempDir } from '../support/temp-dir.ts';

export interface ImageBench {
  readonly dir: string;
  readonly store: Store;
  readonly tools: ImageTools;
  /** @param layers content of the one file of each */
  image(options: ImageOptions): Promise<Descriptor>;
}

export interface ImageOptions {
  readonly layers?: readonly string[];
  readonly config?: ContainerConfig;
  readonly created?: string;
  readonly platform?: Platform;
}

export function withImages(work: (bench: ImageBench) => Promise<void>): Promise<void> {
  return withTempDir(async dir => {
    const store = await openStore(join(dir, 'store'));
    const { signal } = new AbortController();
    const source = { fetch: () => Promise.reject(new Error('nothing can be fetched here')) };
    const layers = openLayers(store, source);
    const tools: ImageTools = {
      store,
      layers,
      source,
      registries: () => Promise.reject(new Error('no registry is asked here')),
      cwd: dir,
      signal,
    };
    const image = async (options: ImageOptions) => {
      const diffIds: DiffId[] = [];
      for (const text of options.layers ?? []) {
        const bytes = Buffer.from(text);
        const common = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0, mtimeNsec: 0 };
        const entry = { ...common, path: 'file' as BytePath, type: 'file' as const, size: bytes.length };
        diffIds.push(await layers.write([{ entry, content: { kind: 'bytes', bytes } }], signal));
      }
      const config = encodeConfig({
        ...(options.created ? { created: options.created } : {}),
        platform: options.platform ?? hostPlatform(),
        config: options.config ?? {},
        diffIds,
        history: [],
        rest: {},
      });
      const manifest = encodeManifest({
        kind: 'manifest',
        mediaType: mediaTypes.ociManifest,
        config: {
          mediaType: mediaTypes.ociConfig,
          digest: await store.blobs.put(config),
          size: Buffer.byteLength(config),
        },
        layers: diffIds.map(digest => ({
          mediaType: mediaTypes.ociLayerTar,
          digest,
          size: store.blobs.size(digest) ?? 0,
        })),
        annotations: {},
      });
      return {
        mediaType: mediaTypes.ociManifest,
        digest: await store.blobs.put(manifest),
        size: Buffer.byteLength(manifest),
      };
    };
    try {
      await work({ dir, store, tools, image });
    } finally {
      await store.close();
    }
  });
}
