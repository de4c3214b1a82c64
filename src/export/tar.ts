// The file system of an image as one tar: layers flattened, nothing says which layer a file came from.
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { TarWriter } from '../archive/tar-writer.ts';
import type { DiffId } from '../image/digest.ts';
import { mediaTypes } from '../image/media-type.ts';
import { formatPlatform } from '../image/platform.ts';
import { flatten } from '../layer/squash.ts';
import { type BytePath, bytePath, type Entry, type LayerInput } from '../tree/entry.ts';
import { BlobCheck, readBlob } from './archive.ts';
import { chunksOf } from './contents.ts';
import { type Destination, openDestination, outputFailure } from './destination.ts';
import { type ExportInput, type FinishedImage, imagesOf } from './finished-image.ts';
import type { OutputSpec } from './output-spec.ts';
import type { ExportTools, Receipt } from './tools.ts';

const sendBytes = 1024 * 1024;

/** @throws BuildError `output`, `usage`, `interrupted` */
export async function exportTar(
  input: ExportInput,
  spec: Extract<OutputSpec, { kind: 'tar' }>,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<Receipt> {
  await using destination = await openDestination(spec.dest, tools);
  const files = await fileSystemOf(input, tools, signal);
  try {
    await writeFiles(files, destination, signal);
    await destination.commit();
  } catch (error) {
    if (signal.aborted) throw error;
    throw outputFailure(error, destination.to);
  }
  return { to: [destination.to] };
}

/**
 * Everything in the image, in byte order of the paths, directories before what they hold. With several platforms each is
 * below a directory of its own, `linux_arm64`, as docker has it.
 */
export async function fileSystemOf(
  input: ExportInput,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<readonly LayerInput[]> {
  const images = imagesOf(input);
  const parts: { directory: string; files: readonly LayerInput[] }[] = [];
  for (const image of images) {
    for (const diffId of image.diffIds) await verifyTar(diffId, tools, signal);
    const files = flatten(await tools.view(image.layers, signal));
    parts.push({ directory: formatPlatform(image.platform).replaceAll('/', '_'), files });
  }
  const [only] = parts;
  if (input.kind === 'image' && only) return only.files;
  parts.sort((a, b) => (a.directory < b.directory ? -1 : 1));
  return parts.flatMap(part => [
    directoryOf(part.directory, images),
    ...part.files.map(file => below(part.directory, file)),
  ]);
}

/** As old as the image may be, so that the same build gives the same tar. */
function directoryOf(name: string, images: readonly FinishedImage[]): LayerInput {
  return {
    entry: {
      path: bytePath(name),
      type: 'directory',
      mode: 0o755,
      uid: 0,
      gid: 0,
      mtimeSec: images[0]?.createdSec ?? 0,
      mtimeNsec: 0,
      size: 0,
    },
  };
}

/** Hard links name paths from the root; symlinks stay what they are. */
function below(directory: string, { entry, content }: LayerInput): LayerInput {
  const prefix = (path: string) => `${directory}/${path}` as BytePath;
  const moved = {
    ...entry,
    path: prefix(entry.path),
    ...(entry.type === 'hardlink' && entry.linkTarget !== undefined
      ? { linkTarget: prefix(entry.linkTarget) }
      : {}),
  };
  return { entry: moved, ...(content ? { content } : {}) };
}

/** Files are read out of the middle of tars, where damage would go unnoticed; a tar that is not here is verified as it is made. */
async function verifyTar(diffId: DiffId, tools: ExportTools, signal: AbortSignal): Promise<void> {
  const size = tools.store.blobs.size(diffId);
  if (size === undefined) return;
  const tar = { mediaType: mediaTypes.ociLayerTar, digest: diffId, size };
  const check = new BlobCheck(tar);
  for await (const chunk of readBlob(tar, tools.store)) {
    if (signal.aborted) throw signal.reason;
    check.update(chunk);
  }
  check.end();
}

async function writeFiles(
  files: readonly LayerInput[],
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const { stream } = destination;
  stream.on('error', () => {}); // the writes below report it
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  const writer = new TarWriter(chunk => {
    waiting.push(Buffer.from(chunk)); // the writer uses its memory again
    waitingBytes += chunk.length;
  });
  const send = async () => {
    if (signal.aborted) throw signal.reason;
    const ready = waiting;
    waiting = [];
    waitingBytes = 0;
    for (const chunk of ready) {
      if (stream.destroyed) throw stream.errored ?? new Error('the output was closed');
      if (!stream.write(chunk)) await once(stream, 'drain', { signal });
    }
  };
  for (const { entry, content } of files) {
    writer.entry(entry as Entry); // a flattened tree has no whiteouts
    for (const chunk of content ? chunksOf(content, entry.path) : []) {
      writer.data(chunk);
      if (waitingBytes >= sendBytes) await send();
    }
    if (waitingBytes >= sendBytes) await send();
  }
  writer.finish();
  await send();
  stream.end();
  await finished(stream, { signal });
}
