// Cache mounts in an OCI layout, a directory that a CI system keeps between its runs. There may be images in it as well.
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { BuildError, printable } from '../../errors.ts';
import { type LayoutChange, updateLayout } from '../../export/layout-directory.ts';
import { type Descriptor, descriptorFromJson, descriptorToJson } from '../../image/descriptor.ts';
import { type Digest, digestOf } from '../../image/digest.ts';
import { type Index, type Manifest, parseManifest } from '../../image/manifest.ts';
import { mediaTypes } from '../../image/media-type.ts';
import { type Container, directoryContainer, readDocument } from '../../load/container.ts';
import { blobName } from '../../store/layout-files.ts';
import { annotationKeys } from '../../store/layout-index.ts';
import { artifactType, decodeArtifact, emptyConfig, encodeArtifact, type MountLayer } from './artifact.ts';
import type { Merge, Place } from './place.ts';

/** @param dir absolute; made when something is written */
export function layoutPlace(dir: string, tag: string): Place {
  const layout = directoryContainer(dir);
  return {
    name: `${dir}:${tag}`,
    async list() {
      if (!layout.has('index.json')) return undefined;
      const index = parseManifest(await readDocument(layout, 'index.json'), mediaTypes.ociIndex);
      return mountsOf(index.kind === 'index' ? index.manifests : [], layout, tag);
    },
    async fetch({ descriptor }, path, signal) {
      const file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
      await pipeline(layout.stream(blobName(descriptor.digest)), file, { signal });
    },
    update: (merge, signal) => updateLayout(dir, signal, entries => change(entries, layout, tag, merge)),
  };
}

async function change(
  entries: readonly unknown[],
  layout: Container,
  tag: string,
  merge: Merge,
): Promise<LayoutChange | undefined> {
  const descriptors = entries.map((entry, i) => descriptorFromJson(entry, `manifests[${i}]`));
  const merged = await merge((await mountsOf(descriptors, layout, tag)) ?? []);
  if (!merged) return undefined;
  const bytes = encodeArtifact(merged.layers);
  const manifest: Descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(bytes),
    size: Buffer.byteLength(bytes),
    artifactType,
    annotations: { [annotationKeys.tag]: tag },
  };
  const others = descriptors.filter(descriptor => tagOf(descriptor) !== tag);
  const replaced = descriptors.filter(descriptor => tagOf(descriptor) === tag);
  const needed = new Set([
    manifest.digest,
    emptyConfig.descriptor.digest,
    ...merged.layers.map(({ descriptor }) => descriptor.digest),
    ...(await reached(others, layout)),
  ]);
  return {
    blobs: merged.blobs.map(({ descriptor, open }) => ({ descriptor, open: () => open(0) })),
    documents: [emptyConfig, { descriptor: manifest, bytes }],
    entries: [...others, manifest].map(descriptorToJson),
    unneeded: (await reached(replaced, layout)).filter(digest => !needed.has(digest)),
  };
}

/** @throws BuildError `usage` when the tag is that of something else */
async function mountsOf(
  entries: readonly Descriptor[],
  layout: Container,
  tag: string,
): Promise<readonly MountLayer[] | undefined> {
  const entry = entries.find(descriptor => tagOf(descriptor) === tag);
  if (!entry) return undefined;
  const layers = decodeArtifact(await readManifest(entry, layout));
  if (layers) return layers;
  throw new BuildError('usage', `${printable(tag)} in ${layout.description} is no set of cache mounts`, {
    hint: 'give cache mounts a tag of their own, with tag=NAME',
  });
}

function tagOf({ annotations }: Descriptor): string | undefined {
  return annotations?.[annotationKeys.tag];
}

async function readManifest(descriptor: Descriptor, layout: Container): Promise<Manifest | Index> {
  const bytes = await readDocument(layout, blobName(descriptor.digest));
  if (digestOf(bytes) === descriptor.digest) return parseManifest(bytes, descriptor.mediaType);
  throw new BuildError('integrity', `the manifest ${descriptor.digest} in ${layout.description} is damaged`, {
    hint: 'remove the directory',
  });
}

/** Everything that the entries refer to, themselves included. */
async function reached(entries: readonly Descriptor[], layout: Container): Promise<Digest[]> {
  const all: Digest[] = [];
  for (const entry of entries) {
    all.push(entry.digest);
    const document = await readManifest(entry, layout);
    if (document.kind === 'index') all.push(...(await reached(document.manifests, layout)));
    else all.push(document.config.digest, ...document.layers.map(({ digest }) => digest));
  }
  return all;
}
