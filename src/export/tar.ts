// The file system of an image as one tar: layers flattened, nothing says which layer a file came from.
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { TarWriter } from '../archive/tar-writer.ts';
import { BuildError } from '../errors.ts';
import type { DiffId } from '../image/digest.ts';
import { mediaTypes } from '../image/media-type.ts';
import { flatten } from '../layer/squash.ts';
import type { Entry, LayerInput } from '../tree/entry.ts';
import { BlobCheck, readBlob } from './archive.ts';
import { chunksOf } from './contents.ts';
import { type Destination, openDestination, outputFailure } from './destination.ts';
import { type ExportInput, imagesOf } from './finished-image.ts';
import type { OutputSpec } from './output-spec.ts';
import type { ExportTools, Receipt } from './tools.ts';

const sendBytes = 1024 * 1024;

/** @throws BuildError `output`, `usage`, `unsupported` for several platforms, `interrupted` */
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

/** Everything in the one image, in byte order of the paths, directories before what they hold. */
export async function fileSystemOf(
  input: ExportInput,
  tools: ExportTools,
  signal: AbortSignal,
): Promise<readonly LayerInput[]> {
  const [image, another] = imagesOf(input);
  if (!image || another) {
    throw new BuildError('unsupported', 'files of several platforms cannot go to one place', {
      hint: 'build each platform by itself',
    });
  }
  for (const diffId of image.diffIds) await verifyTar(diffId, tools, signal);
  return flatten(await tools.view(image.layers, signal));
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
