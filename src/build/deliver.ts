// A finished image goes where the outputs say: by default into the local store under its names.
import type { Writable } from 'node:stream';
import { parseBoolean } from '../dockerfile/directives.ts';
import { BuildError } from '../errors.ts';
import { checkDestination } from '../export/destination.ts';
import { exportImage } from '../export/export.ts';
import { type ExportInput, type FinishedImage, namesOf } from '../export/finished-image.ts';
import { type OutputSpec, parseOutput } from '../export/output-spec.ts';
import type { Push, Receipt, StreamBlob } from '../export/tools.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { formatReference } from '../image/reference.ts';
import { makeView } from '../layer/view.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

export interface DeliveryTools {
  readonly push: Push;
  readonly stream?: StreamBlob;
  readonly stdout: Writable;
  readonly stdoutIsTerminal: boolean;
}

export interface Delivery {
  readonly receipts: readonly Receipt[];
  /** For people, one line each. */
  readonly places: readonly string[];
  /** Manifest of the image as the last output wrote it. */
  readonly descriptor?: Descriptor;
  readonly usedStdout: boolean;
}

/** Refuses destinations that cannot work before anything is built. @throws BuildError `usage` or `output` */
export async function checkDestinations(
  request: BuildRequest,
  delivery: Pick<DeliveryTools, 'stdout' | 'stdoutIsTerminal'>,
): Promise<void> {
  for (const spec of request.outputs) {
    await checkDestination(spec, { cwd: request.cwd, allow: request.allow, ...delivery });
  }
}

/** Whether the registry of a name would let the image in. @throws BuildError `auth`, `not-found` */
export type CheckPushRight = (name: string, signal: AbortSignal) => Promise<void>;

/** What a registry refuses is said before anything is built. @throws BuildError `auth`, `not-found` */
export async function checkPushRights(
  { outputs, tags }: BuildRequest,
  check: CheckPushRight,
  signal: AbortSignal,
): Promise<void> {
  const names = new Set<string>();
  for (const spec of outputs) {
    const isPushed = spec.kind === 'registry' || (spec.kind === 'image' && spec.push);
    if (isPushed) for (const name of spec.names ?? tags.map(formatReference)) names.add(name);
  }
  // One after the other: a refusal is one message.
  for (const name of names) await check(name, signal);
}

/** @throws BuildError `output`, `network`, `auth`, ...; an output that failed leaves nothing under its name */
export async function deliver(
  images: readonly FinishedImage[],
  request: BuildRequest,
  tools: Tools,
  delivery: DeliveryTools,
): Promise<Delivery> {
  const specs = request.outputs.length > 0 ? request.outputs : [parseOutput('type=image')];
  const input = inputOf(images, request);
  const receipts: Receipt[] = [];
  for (const spec of specs) receipts.push(await deliverTo(spec, input, request, tools, delivery));
  await tools.store.meta.flush();
  const descriptor = receipts.findLast(receipt => receipt.root)?.root;
  return {
    receipts,
    places: receipts.flatMap(receipt => receipt.to),
    ...(descriptor ? { descriptor } : {}),
    usedStdout: receipts.some(receipt => receipt.to.includes('-')),
  };
}

async function deliverTo(
  spec: OutputSpec,
  input: ExportInput,
  request: BuildRequest,
  tools: Tools,
  delivery: DeliveryTools,
): Promise<Receipt> {
  const id = `export:${spec.kind}:${'dest' in spec ? spec.dest : ''}`;
  const name = `exporting to ${describe(spec, namesOf(input))}`;
  tools.emit({ kind: 'start', id, name, atMs: tools.now() });
  try {
    const receipt = await exportImage(
      input,
      spec,
      {
        store: tools.store,
        layers: tools.layers,
        view: async (layers, signal) =>
          makeView(await Promise.all(layers.map(layer => tools.layers.index(layer, signal))), 'the image'),
        cwd: request.cwd,
        ...delivery,
      },
      tools.signal,
    );
    tools.emit({ kind: 'end', id, outcome: 'done', atMs: tools.now() });
    return receipt;
  } catch (error) {
    tools.emit({ kind: 'end', id, outcome: 'failed', error: (error as Error).message, atMs: tools.now() });
    throw error;
  }
}

/** The build arg BUILDKIT_MULTI_PLATFORM asks for an index also where one platform was built. */
function inputOf(images: readonly FinishedImage[], { buildArgs }: BuildRequest): ExportInput {
  const [image] = images;
  if (!image) throw new BuildError('internal', 'nothing was built');
  const wanted = parseBoolean(buildArgs.get('BUILDKIT_MULTI_PLATFORM') ?? '');
  if (images.length === 1 && !wanted) return { kind: 'image', image };
  return { kind: 'index', images, names: image.names, annotations: {} };
}

function describe(spec: OutputSpec, names: readonly string[]): string {
  switch (spec.kind) {
    case 'docker':
      return `docker archive ${spec.dest}`;
    case 'oci':
      return `OCI ${spec.tar ? 'archive' : 'layout'} ${spec.dest}`;
    case 'tar':
    case 'local':
      return `${spec.kind} ${spec.dest}`;
    case 'image':
      return names.length > 0 ? `local store as ${names.join(', ')}` : 'local store';
    case 'registry':
      return `registry as ${(spec.names ?? names).join(', ')}`;
    case 'cacheonly':
      return 'nothing but the cache';
  }
}
