// A file system in a tar becomes an image of one layer, as `docker import` makes it.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { decompress, detectCompression, detectionBytes } from '../archive/compression.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError, type SourceRange } from '../errors.ts';
import { type ContainerConfig, encodeConfig } from '../image/config.ts';
import { type DiffId, type Digest, digestFromHash } from '../image/digest.ts';
import { encodeManifest } from '../image/manifest.ts';
import { mediaTypes } from '../image/media-type.ts';
import { hostPlatform, type Platform } from '../image/platform.ts';
import { emptyScope } from '../plan/args.ts';
import { planOptions } from '../plan/options.ts';
import { applySetting, type SettingInstruction } from '../plan/settings.ts';
import type { StageContext, StageState } from '../plan/state.ts';
import type { ImageTools } from './tools.ts';

export interface ImportRequest {
  /** Bytes of the tar, packed or not. */
  readonly tar: AsyncIterable<Uint8Array>;
  /** Full form; absent: an image without a name. */
  readonly name?: string;
  /** Instructions, one each, applied to the config. */
  readonly changes: readonly string[];
  readonly message: string;
  readonly platform: Platform;
  /** RFC 3339. */
  readonly created: string;
}

/** @returns the image id @throws BuildError `dockerfile` for the changes, `integrity`, `hostile` for the tar */
export async function importImage(request: ImportRequest, tools: ImageTools): Promise<Digest> {
  const { store } = tools;
  const changed = applyChanges(request.changes);
  const layer = await storeLayer(request.tar, tools);
  const config = encodeConfig({
    created: request.created,
    platform: request.platform,
    config: changed,
    diffIds: [layer.diffId],
    history: [{ created: request.created, comment: request.message }],
    rest: {},
  });
  const configDigest = await store.blobs.put(config);
  const manifest = encodeManifest({
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: configDigest, size: Buffer.byteLength(config) },
    layers: [{ mediaType: mediaTypes.ociLayerTar, digest: layer.diffId, size: layer.size }],
    annotations: {},
  });
  const descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: await store.blobs.put(manifest),
    size: Buffer.byteLength(manifest),
  };
  if (request.name) await store.names.set(request.name, descriptor);
  else await store.names.keep(descriptor);
  return configDigest;
}

/** Instructions that change nothing but the config; what docker import takes. */
const allowed: readonly string[] = [
  'cmd',
  'entrypoint',
  'env',
  'expose',
  'healthcheck',
  'label',
  'onbuild',
  'stopsignal',
  'user',
  'volume',
  'workdir',
];

/** @throws BuildError `dockerfile` */
export function applyChanges(changes: readonly string[]): ContainerConfig {
  const head = 'FROM scratch\n';
  const text = `${head}${changes.join('\n')}\n`;
  const dockerfile = parseDockerfile({ name: '--change', text });
  const errors = dockerfile.diagnostics.filter(found => found.severity === 'error');
  if (errors.length > 0) {
    throw new BuildError('dockerfile', 'a --change cannot be understood', { diagnostics: errors });
  }
  const [, another] = dockerfile.stages;
  if (another) throw notAllowed('FROM', another.from.range);
  let state: StageState = { scope: emptyScope, config: {}, hasCmd: false };
  const context: StageContext = {
    args: { globals: { values: new Map(), declared: [] }, buildArgs: new Map(), escape: '\\' },
    sources: { options: planOptions(hostPlatform()), names: new Map(), stageCount: 1 },
  };
  for (const line of dockerfile.stages.flatMap(stage => stage.instructions)) {
    if (!allowed.includes(line.kind)) throw notAllowed(line.kind.toUpperCase(), line.range);
    state = applySetting(line as SettingInstruction, state, context).state;
  }
  // BuildKit marks a CMD so, docker import does not.
  const { ArgsEscaped: _, ...config } = state.config;
  return config;
}

function notAllowed(keyword: string, range: SourceRange): BuildError {
  return new BuildError('dockerfile', `${keyword} is not a valid change`, {
    range,
    hint: `changes are ${allowed.join(', ').toUpperCase()}`,
  });
}

/** The tar in the store, unpacked; its headers have been read, so that a layer which cannot be used is no layer. */
async function storeLayer(
  tar: AsyncIterable<Uint8Array>,
  { store, layers, signal }: ImageTools,
): Promise<{ diffId: DiffId; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  let diffId: DiffId;
  {
    await using target = await store.blobs.ingest();
    const { head, all } = await peek(tar);
    const packing = detectCompression(head);
    if (packing === 'none' && head.length > 0) {
      throw new BuildError('integrity', 'what is to be imported is neither a tar nor a compressed one');
    }
    await pipeline(
      decompress(all, packing),
      async function* (chunks) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          size += chunk.length;
          yield chunk;
        }
      },
      createWriteStream(target.path),
      { signal },
    );
    if (size === 0) throw new BuildError('integrity', 'what is to be imported is empty');
    diffId = digestFromHash(hash.digest('hex'));
    await target.commit(diffId);
  }
  try {
    layers.adopt(diffId, { mediaType: mediaTypes.ociLayerTar, digest: diffId, size });
    await layers.index(diffId, signal);
  } catch (error) {
    await store.blobs.remove(diffId);
    throw error;
  }
  return { diffId, size };
}

/** The first bytes, and everything from the beginning. */
async function peek(
  source: AsyncIterable<Uint8Array>,
): Promise<{ head: Buffer; all: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  while (length < detectionBytes) {
    const next = await iterator.next();
    if (next.done) break;
    first.push(Buffer.from(next.value));
    length += next.value.length;
  }
  const all = async function* () {
    try {
      yield* first;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  };
  return { head: Buffer.concat(first), all: all() };
}
