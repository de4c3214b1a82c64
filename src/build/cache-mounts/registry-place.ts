// Cache mounts under a tag of a registry. Of several builds that write one tag at once the last one's mounts stay.
import { open } from 'node:fs/promises';
import { BuildError } from '../../errors.ts';
import { mediaTypes } from '../../image/media-type.ts';
import { formatReference, type Reference } from '../../image/reference.ts';
import { fileSink } from '../../registry/pull.ts';
import { memoryBlob } from '../../registry/push.ts';
import type { Registries } from '../../registry/registry.ts';
import { decodeArtifact, emptyConfig, encodeArtifact } from './artifact.ts';
import type { Place } from './place.ts';

/** @param reference with a tag */
export function registryPlace(registries: Registries, reference: Reference): Place {
  const name = formatReference(reference);
  const list: Place['list'] = async signal => {
    try {
      const { document } = await registries.fetchManifest(reference, signal);
      const layers = decodeArtifact(document);
      if (layers) return layers;
    } catch (error) {
      if (error instanceof BuildError && error.code === 'not-found') return undefined;
      throw error;
    }
    throw new BuildError('usage', `${name} holds no cache mounts but something else`, {
      hint: 'give cache mounts a tag of their own',
    });
  };
  return {
    name,
    list,
    async fetch({ descriptor }, path, signal) {
      await using file = await open(path, 'wx', 0o600);
      await registries.download(reference, descriptor, fileSink(file), signal);
    },
    async update(merge, signal) {
      const change = await merge((await list(signal)) ?? []);
      if (!change) return;
      const config = memoryBlob(emptyConfig.descriptor, Buffer.from(emptyConfig.bytes));
      const manifest = {
        mediaType: mediaTypes.ociManifest,
        bytes: Buffer.from(encodeArtifact(change.layers)),
      };
      await registries.push(
        { references: [reference], documents: [manifest], blobs: [config, ...change.blobs] },
        signal,
      );
    },
  };
}
