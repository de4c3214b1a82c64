// The images that a plan names: all looked up at once, each shown as a unit of work.
import { BuildError, messageOf } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import { formatPlatform } from '../image/platform.ts';
import { baseHint, type Outline } from '../plan/outline.ts';
import { missingBases } from '../plan/reach.ts';
import type { BaseRequest } from '../plan/steps.ts';
import { missingOffline, remoteSources } from './offline.ts';
import type { BuildRequest } from './request.ts';
import type { BaseImage, Tools } from './tools.ts';

/** Lookups by id, which the plans of several platforms share. */
export type Lookups = Map<string, Promise<BaseImage>>;

/** The images of an outline, those included that ONBUILD triggers of other images ask for. */
export async function findAllBases(
  outline: Outline,
  request: BuildRequest,
  tools: Tools,
  lookups: Lookups = new Map(),
): Promise<{ bases: ReadonlyMap<string, BaseImage>; configs: ReadonlyMap<string, ImageConfig> }> {
  const bases = new Map<string, BaseImage>();
  const configs = new Map<string, ImageConfig>();
  for (
    let missing = missingBases(outline, configs);
    missing.length > 0;
    missing = missingBases(outline, configs)
  ) {
    for (const [id, base] of await findBases(missing, outline, request, tools, lookups)) {
      bases.set(id, base);
      configs.set(id, base.config);
    }
  }
  return { bases, configs };
}

/** Only manifests and configs are fetched; layers when a step reads them. */
async function findBases(
  requests: readonly BaseRequest[],
  outline: Outline,
  build: BuildRequest,
  tools: Tools,
  lookups: Lookups,
): Promise<Map<string, BaseImage>> {
  const found = await Promise.allSettled(
    requests.map(request => {
      const lookup = lookups.get(request.id) ?? findBase(request, outline, build, tools);
      lookups.set(request.id, lookup);
      return lookup;
    }),
  );
  const failed = found.find(result => result.status === 'rejected');
  if (failed && build.offline) {
    const missing = requests.filter((_, i) => found[i]?.status === 'rejected').map(each => each.reference);
    throw missingOffline([...missing, ...remoteSources(outline)]);
  }
  if (failed) throw failed.reason;
  const bases = new Map<string, BaseImage>();
  found.forEach((result, i) => {
    const id = requests[i]?.id;
    if (id !== undefined && result.status === 'fulfilled') bases.set(id, result.value);
  });
  return bases;
}

async function findBase(
  request: BaseRequest,
  outline: Outline,
  build: BuildRequest,
  tools: Tools,
): Promise<BaseImage> {
  const id = `base:${request.id}`;
  const name = `[internal] load metadata for ${request.reference} (${formatPlatform(request.platform)})`;
  tools.emit({ kind: 'start', id, name, atMs: tools.now() });
  try {
    const base = await tools.bases.find(request, build.pull, tools.signal);
    tools.emit({ kind: 'end', id, outcome: base.local ? 'cached' : 'done', atMs: tools.now() });
    return base;
  } catch (error) {
    tools.emit({ kind: 'end', id, outcome: 'failed', error: messageOf(error), atMs: tools.now() });
    if (!(error instanceof BuildError)) throw error;
    const named = error.message.includes(request.reference)
      ? error.message
      : `${request.reference}: ${error.message}`;
    throw new BuildError(error.code, named, {
      // A misspelt stage or well-known image is the likelier reason than a missing login.
      hint:
        (error.code === 'not-found' || error.code === 'auth'
          ? baseHint(request.reference, outline)
          : undefined) ?? error.hint,
      range: error.range ?? request.range,
      cause: error.cause,
      facts: { ...error.facts, image: request.reference },
    });
  }
}
