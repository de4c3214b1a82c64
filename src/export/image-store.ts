// The image under its names in the local store, and in the registries of its names.
import { BuildError } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';
import { type ExportInput, namesOf } from './finished-image.ts';
import { receipt } from './oci.ts';
import type { ImageOptions, OutputSpec } from './output-spec.ts';
import { keepDocuments, type Packed, pack } from './pack.ts';
import type { ExportTools, Receipt } from './tools.ts';

/**
 * Keeps the image in the store. Its own layers stay uncompressed, they are there already; blobs of the base stay where
 * they came from. An image without a name is kept until the next prune.
 */
export async function exportToStore(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'image' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  const names = spec.names ?? namesOf(input);
  // A registry gets compressed layers: with push both share one manifest, so that the digests agree.
  const packed = await packIntoStore(
    input,
    spec,
    spec.push ? 'gzip' : 'uncompressed',
    spec.push ? names : [],
    tools,
    signal,
  );
  for (const name of names) await tools.store.names.set(name, packed.root.descriptor);
  if (names.length === 0) await tools.store.names.keep(packed.root.descriptor);
  if (spec.push) await pushAll(packed, names, spec.byDigest, tools, signal);
  return receipt(packed, ...names);
}

/** Sends the image to the registries of its names. @throws BuildError `usage` when it has none, `auth`, `network` */
export async function exportToRegistry(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'registry' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  const names = spec.names ?? namesOf(input);
  const packed = await packIntoStore(input, spec, 'gzip', names, tools, signal);
  await pushAll(packed, names, spec.byDigest, tools, signal);
  return receipt(packed, ...names);
}

/** @param sendTo names that the image will be pushed to: the first one's registry gets new layers while they are packed */
async function packIntoStore(
  input: ExportInput,
  options: ImageOptions,
  defaultCompression: Compression,
  [sendTo]: readonly string[],
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Packed> {
  const { stream } = tools;
  const tap = stream && sendTo !== undefined ? () => stream(sendTo, signal) : undefined;
  const packed = await pack(
    input,
    tools.layers,
    { options, defaultCompression, lazy: true, ...(tap ? { tap } : {}) },
    signal,
  );
  await keepDocuments(packed, tools.store);
  return packed;
}

async function pushAll(
  packed: Packed,
  names: readonly string[],
  byDigest: boolean,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<void> {
  if (names.length === 0) {
    throw new BuildError('usage', 'pushing needs a name for the image', { hint: 'add -t HOST/NAME:TAG' });
  }
  for (const name of names) {
    await tools.push({ name, root: packed.root.descriptor, byDigest }, signal);
  }
}
