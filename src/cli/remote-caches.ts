// The remote caches of one build: --cache-from and --cache-to. Nothing of it is loaded unless one of them is given.
import type { CacheSource } from '../build/cache-spec.ts';
import type { BuildRequest } from '../build/request.ts';
import type { Tools } from '../build/tools.ts';
import { messageOf } from '../errors.ts';
import { hostPlatform } from '../image/platform.ts';
import type { Wired } from './wire.ts';

export interface Caches {
  /** With the caches among them. */
  readonly tools: Tools;
  /** Writes what the work came to, also when it fails. @throws what the work throws, else what writing a cache throws */
  kept<T>(work: () => Promise<T>): Promise<T>;
}

export async function openCaches(
  request: BuildRequest,
  wired: Wired,
  warn: (text: string) => void,
): Promise<Caches> {
  const { cacheFrom = [], cacheTo = [] } = request;
  if (cacheFrom.length === 0 && cacheTo.length === 0) return { tools: wired.tools, kept: work => work() };
  if ([...cacheFrom, ...cacheTo].some(({ kind }) => kind === 's3')) {
    // Before anything is built.
    await (await import('../artifact/s3-client.ts')).loadS3Client();
  }
  const [{ exportCaches, placeOf }, { FinishedSteps }, { openRemoteCaches }] = await Promise.all([
    import('../build/cache-export.ts'),
    import('../build/finished-steps.ts'),
    import('../cache/remote.ts'),
  ]);
  const { registries, source, cwd, store } = wired.images;
  const placeTools = { registries, source, cwd, store };
  const { emit, now } = wired.tools;
  const sources = usable(cacheFrom, request, warn);
  const places = () => Promise.all(sources.map(spec => placeOf(spec, placeTools)));
  const platforms = request.platforms ?? [request.platform ?? hostPlatform()];
  const remote = openRemoteCaches(places, {
    layers: wired.tools.layers,
    platforms,
    warn,
    async reading(name, work) {
      const id = `cache-from:${name}`;
      emit({ kind: 'start', id, name: `[internal] reading the cache ${name}`, atMs: now() });
      try {
        return await work();
      } finally {
        emit({ kind: 'end', id, outcome: 'done', atMs: now() });
      }
    },
  });
  const finished = new FinishedSteps();
  const tools: Tools = { ...wired.tools, finished, ...(sources.length > 0 ? { remote } : {}) };
  return {
    tools,
    async kept(work) {
      let done: Awaited<ReturnType<typeof work>>;
      try {
        done = await work();
      } catch (error) {
        if (!tools.signal.aborted) {
          await exportCaches(cacheTo, finished, tools, placeTools, warn, true).catch((failure: unknown) =>
            warn(`the cache was not written: ${messageOf(failure)}`),
          );
        }
        throw error;
      }
      await exportCaches(cacheTo, finished, tools, placeTools, warn);
      return done;
    },
  };
}

function usable(
  sources: readonly CacheSource[],
  { offline }: BuildRequest,
  warn: (text: string) => void,
): readonly CacheSource[] {
  if (!offline) return sources;
  const here = sources.filter(({ kind }) => kind === 'local');
  if (here.length < sources.length) warn('the build is offline: only caches in directories are read');
  return here;
}
