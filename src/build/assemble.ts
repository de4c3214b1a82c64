// Config, history and layers -> a finished image.
import { inlineField } from '../cache/remote-inline.ts';
import type { FinishedImage } from '../export/finished-image.ts';
import type { HistoryEntry, ImageConfig } from '../image/config.ts';
import { encodeConfig } from '../image/config.ts';
import { type DiffId, digestOf } from '../image/digest.ts';
import { formatReference } from '../image/reference.ts';
import { squashLayers } from '../layer/squash.ts';
import type { PlannedStage } from '../plan/steps.ts';
import type { BuildRequest } from './request.ts';
import type { StageResult } from './stage-result.ts';
import type { Tools } from './tools.ts';

/**
 * @returns the image; its own layers have been serialised, here or elsewhere (their diffIds are part of the config),
 *   nothing is compressed
 */
export async function assemble(
  stage: PlannedStage,
  result: StageResult,
  request: BuildRequest,
  tools: Tools,
  signal: AbortSignal,
): Promise<FinishedImage> {
  const epoch = request.sourceDateEpoch;
  const parts = request.squash ? await squashed(result, tools, signal) : result;
  const own = parts.layers.slice(parts.baseLayers);
  const clamped = await Promise.all(own.map(id => tools.layers.diffId(id, signal, epoch)));
  const diffIds = [...stage.config.diffIds.slice(0, parts.baseLayers), ...clamped];
  const history = timed(parts.history, result, epoch);
  const created = epoch === undefined ? history.at(-1)?.created : new Date(epoch * 1000).toISOString();
  const rest = inherited(stage.config.rest);
  const records = request.cacheTo?.some(({ kind }) => kind === 'inline')
    ? await inlineCache(stage, diffIds, tools)
    : undefined;
  const config: ImageConfig = {
    ...stage.config,
    rest: records === undefined ? rest : { ...rest, [inlineField]: records },
    config: withLabels(stage.config.config, request.labels),
    diffIds,
    history,
    ...(created ? { created } : {}),
    ...(result.author ? { author: result.author } : {}),
  };
  const bytes = encodeConfig(config);
  return {
    config,
    configBytes: bytes,
    configDigest: digestOf(bytes),
    layers: [...parts.layers.slice(0, parts.baseLayers), ...clamped],
    diffIds: diffIds as DiffId[],
    baseLayers: parts.baseLayers,
    platform: config.platform,
    names: request.tags.map(formatReference),
    annotations: Object.fromEntries(request.annotations),
    ...(epoch === undefined ? {} : { createdSec: epoch }),
  };
}

/** What Docker wrote about how the base itself was made, and its own cache. */
const baseOnly = ['comment', 'container', 'container_config', 'docker_version', 'id', 'parent', inlineField];

function inherited(rest: ImageConfig['rest']): ImageConfig['rest'] {
  return Object.fromEntries(Object.entries(rest).filter(([key]) => !baseOnly.includes(key)));
}

/** The records of the image's own steps; those of its base say nothing about it. */
async function inlineCache(
  { index }: PlannedStage,
  diffIds: readonly DiffId[],
  tools: Tools,
): Promise<unknown> {
  const [{ recordsOfSteps }, { inlineValue }] = await Promise.all([
    import('./cache-export.ts'),
    import('../cache/remote-inline.ts'),
  ]);
  const steps = tools.finished?.ofImage(index) ?? [];
  // How the layers are packed is decided later, and nothing that the records say.
  const unpacked = { mediaType: '', digest: digestOf(''), size: 0 };
  const { records } = await recordsOfSteps(steps, tools, async () => unpacked);
  return inlineValue(records, diffIds);
}

function withLabels(
  config: ImageConfig['config'],
  labels: ReadonlyMap<string, string>,
): ImageConfig['config'] {
  return labels.size === 0
    ? config
    : { ...config, Labels: { ...config.Labels, ...Object.fromEntries(labels) } };
}

/** Own layers become one; the history keeps every instruction, as entries without a layer before the one that has it. */
async function squashed(
  result: StageResult,
  tools: Tools,
  signal: AbortSignal,
): Promise<Pick<StageResult, 'layers' | 'baseLayers' | 'history'>> {
  const { layers, baseLayers, history } = result;
  if (layers.length - baseLayers < 2) return result;
  const indexes = await Promise.all(layers.map(id => tools.layers.index(id, signal)));
  const layer = await tools.layers.write(squashLayers(indexes, baseLayers), signal);
  let seen = 0;
  const flat = history.map(entry => {
    if (entry.empty_layer) return entry;
    seen++;
    return seen <= baseLayers ? entry : { ...entry, empty_layer: true };
  });
  const created = history.findLast(entry => entry.created)?.created;
  const merged = {
    ...(created ? { created } : {}),
    created_by: 'squash',
    comment: `slipway: ${layers.length - baseLayers} layers in one`,
  };
  return { layers: [...layers.slice(0, baseLayers), layer], baseLayers, history: [...flat, merged] };
}

/** Entries without a time get their neighbour's, so that the same build gives the same config. */
function timed(
  history: readonly HistoryEntry[],
  result: StageResult,
  epoch: number | undefined,
): HistoryEntry[] {
  const fixed = epoch === undefined ? undefined : new Date(epoch * 1000).toISOString();
  let last = history.find(entry => entry.created)?.created;
  return history.map((entry, i) => {
    if (entry.created) last = entry.created;
    const created = i >= result.baseHistory && fixed ? fixed : (entry.created ?? last);
    const { created: _, ...rest } = entry;
    return created ? { created, ...rest } : rest;
  });
}
