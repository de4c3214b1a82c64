// Cache mounts travel: a mount that is empty here is filled from where an earlier build, perhaps on another machine, left
// its content, when the first step opens it; and goes there when the build ends, if its content is new there.
import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact, Place } from '../../artifact/place.ts';
import { BuildError, messageOf } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import { type Lock, tryLock, waitForLock } from '../../host/lock.ts';
import { makeTempDir, removeTree, temporaryName } from '../../host/temp.ts';
import { type Digest, digestOf, hexOf, shortId } from '../../image/digest.ts';
import { hostPlatform } from '../../image/platform.ts';
import { packTar } from '../../layer/pack.ts';
import { sharedPool } from '../../layer/pool.ts';
import type { Store } from '../../store/store.ts';
import { draftOf, type MountLayer, mergeMounts, mountLayer, mountsIn } from './artifact.ts';
import type { MountDepot, MountSource, MountTarget } from './place.ts';

/** As images have it: what unpacks to more is refused. */
const maxUnpackedBytes = 64 * 1024 ** 3;
/** Another build may be in a step that uses the mount; so long it is waited for. */
const patienceMs = 30_000;
const defaultLevels = { gzip: 4, zstd: 3 } as const;

/** What the steps of a build ask. */
export interface MountTravel {
  /** Cache mounts that the Dockerfile names, whether their steps are executed or not. */
  expect(ids: Iterable<string>): void;
  /** Called before a mount is used: fills it if it is empty here, or was to be replaced, and there is something to fill it with. */
  arrive(id: string, signal: AbortSignal): Promise<void>;
}

export interface TravelTools {
  readonly store: Store;
  readonly emit: Emit;
  now(): number;
  /** Something that does not stop the build. */
  warn(text: string): void;
  readonly depot: MountDepot;
}

/**
 * Mounts are sent away also when the work failed, and then a failure to do so is a warning.
 * @throws BuildError what `work` throws, or else what went wrong with a target whose failures count
 */
export async function travelling<T>(
  sources: readonly MountSource[],
  targets: readonly MountTarget[],
  tools: TravelTools,
  signal: AbortSignal,
  work: (travel: MountTravel) => Promise<T>,
): Promise<T> {
  const mounts = new TravellingMounts(sources, tools);
  let result: T;
  try {
    result = await work(mounts);
  } catch (error) {
    const forgiving = targets.map(target => ({ ...target, ignoreError: true }));
    if (!signal.aborted) await mounts.depart(forgiving, signal).catch(() => {});
    throw error;
  }
  await mounts.depart(targets, signal);
  return result;
}

class TravellingMounts implements MountTravel {
  readonly #sources: readonly MountSource[];
  readonly #tools: TravelTools;
  readonly #named = new Set<string>();
  readonly #arriving = new Map<string, Promise<void>>();
  readonly #listed = new Map<MountSource, Promise<Listed | undefined>>();

  readonly #turns = new Map<Digest, Promise<void>>();

  constructor(sources: readonly MountSource[], tools: TravelTools) {
    this.#sources = sources;
    this.#tools = tools;
  }

  expect(ids: Iterable<string>): void {
    for (const id of ids) this.#named.add(id);
  }

  /** Once in a build; who comes later waits for the first. */
  arrive(id: string, signal: AbortSignal): Promise<void> {
    const running = this.#arriving.get(id) ?? this.#arrive(id, signal);
    this.#arriving.set(id, running);
    return running;
  }

  async #arrive(id: string, signal: AbortSignal): Promise<void> {
    const sources = this.#sources.filter(({ ids }) => ids === undefined || ids.includes(id));
    if (sources.length === 0) return;
    const { slot, fs } = this.#slot(id);
    mkdirSync(slot, { recursive: true, mode: 0o700 });
    // Somebody who has it open is about to fill it.
    using lock = tryLock(slot, 'exclusive');
    if (!lock) return;
    for (const source of isEmpty(fs) ? sources : sources.filter(({ overwrite }) => overwrite)) {
      if (await this.#fill(id, source, slot, signal)) return;
    }
  }

  /** @returns whether the source had the mount; one that cannot be had is a warning */
  async #fill(id: string, source: MountSource, slot: string, signal: AbortSignal): Promise<boolean> {
    const listed = await this.#list(source, signal);
    const layer = listed?.layers.find(each => each.id === id);
    if (!listed || !layer) return false;
    const { place } = listed;
    try {
      await this.#unit(`cache-mount:from:${id}`, `importing cache mount ${id} from ${place.name}`, async () =>
        this.#unpack(layer, place, slot, signal),
      );
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#tools.warn(`cache mount ${id} was not imported from ${place.name}: ${messageOf(error)}`);
      return false;
    }
  }

  /** Complete or not at all. Mounts with one content take turns, since each removes the blob when it is done. */
  #unpack(layer: MountLayer, place: Place, slot: string, signal: AbortSignal): Promise<void> {
    const { descriptor } = layer;
    const { store, source } = this.#tools.depot;
    const work = async () => {
      try {
        place.remember(descriptor.digest);
        await source.fetch(descriptor, signal);
        await unpackInto(slot, layer, store, signal);
      } finally {
        await store.blobs.remove(descriptor.digest);
      }
    };
    const turn = (this.#turns.get(descriptor.digest) ?? Promise.resolve()).catch(() => {}).then(work);
    this.#turns.set(descriptor.digest, turn);
    return turn;
  }

  /** Asked once for a build. */
  #list(source: MountSource, signal: AbortSignal): Promise<Listed | undefined> {
    const running = this.#listed.get(source) ?? this.#tryList(source, signal);
    this.#listed.set(source, running);
    return running;
  }

  async #tryList({ place: spec }: MountSource, signal: AbortSignal): Promise<Listed | undefined> {
    const place = await this.#tools.depot.open(spec);
    try {
      return { place, layers: await mountsAt(place, signal) };
    } catch (error) {
      signal.throwIfAborted();
      this.#tools.warn(`no cache mounts from ${place.name}: ${messageOf(error)}`);
      return undefined;
    }
  }

  /**
   * Sends what the build, or an earlier one, left in the mounts to every target.
   * @throws BuildError of the first target that failed and whose failure counts
   */
  async depart(targets: readonly MountTarget[], signal: AbortSignal): Promise<void> {
    if (targets.length === 0) return;
    await using spool = await makeTempDir(this.#tools.store.tmp, 'mount-');
    const packed = new Map<string, Promise<PackedMount | undefined>>();
    const pack = (id: string) => {
      const running = packed.get(id) ?? this.#pack(id, spool.path, signal);
      packed.set(id, running);
      return running;
    };
    for (const target of targets) await this.#send(target, pack, signal);
  }

  async #send(target: MountTarget, pack: Pack, signal: AbortSignal): Promise<void> {
    const ids = target.ids ?? [...this.#named];
    if (ids.length === 0) return;
    const place = await this.#tools.depot.open(target.place);
    const unit = `cache-mount:to:${place.name}`;
    try {
      await this.#unit(unit, `exporting cache mounts to ${place.name}`, async note => {
        const mounts: PackedMount[] = [];
        for (const id of ids) {
          const mount = await pack(id);
          if (mount) mounts.push(mount);
          else note(`${id}: nothing to export`);
        }
        if (mounts.length > 0) await this.#update(mounts, target, place, signal, note);
      });
    } catch (error) {
      signal.throwIfAborted();
      if (!target.ignoreError) throw error;
      this.#tools.warn(`no cache mounts went to ${place.name}: ${messageOf(error)}`);
    }
  }

  /** A mount whose content is there already is neither compressed nor sent. */
  async #update(
    mounts: readonly PackedMount[],
    target: MountTarget,
    place: Place,
    signal: AbortSignal,
    note: (text: string) => void,
  ): Promise<void> {
    const known = await mountsAt(place, signal).catch(forgiveDamage);
    const own: MountLayer[] = [];
    for (const mount of mounts) {
      if (known.some(({ id, diffId }) => id === mount.id && diffId === mount.diffId)) {
        note(`${mount.id}: unchanged`);
        continue;
      }
      const layer = await compress(mount, target, this.#tools.depot.store, signal);
      own.push(layer);
      note(`${mount.id}: ${shortId(layer.descriptor.digest)}, ${layer.descriptor.size} bytes`);
    }
    if (own.length === 0) return;
    let before: readonly MountLayer[] | undefined;
    const draft = (current: Artifact | undefined) => {
      const there = current ? mountsIn(current, place.name) : [];
      before ??= there;
      const merged = mergeMounts(before, there, own);
      return merged && draftOf(merged);
    };
    const blobs = own.map(({ descriptor }) => descriptor);
    await place.update(blobs, draft, signal);
  }

  /** @returns undefined when there is nothing in the mount */
  async #pack(id: string, spool: string, signal: AbortSignal): Promise<PackedMount | undefined> {
    const { slot, fs } = this.#slot(id);
    if (!existsSync(slot) || isEmpty(fs)) return undefined;
    using _lock = await lockForPacking(slot, id, signal);
    const tar = join(spool, temporaryName('tar-'));
    const { diffId, size } = await sharedPool().run({ kind: 'pack-files', root: fs, tar }, signal);
    return { id, diffId, tar, size };
  }

  #slot(id: string): { readonly slot: string; readonly fs: string } {
    const slot = join(this.#tools.store.root, 'mounts', hexOf(digestOf(id)), '0');
    return { slot, fs: join(slot, 'fs') };
  }

  async #unit(
    id: string,
    name: string,
    work: (note: (text: string) => void) => Promise<void>,
  ): Promise<void> {
    const { emit, now } = this.#tools;
    emit({ kind: 'start', id, name, atMs: now() });
    try {
      await work(text => emit({ kind: 'note', id, text, atMs: now() }));
      emit({ kind: 'end', id, outcome: 'done', atMs: now() });
    } catch (error) {
      emit({ kind: 'end', id, outcome: 'failed', error: messageOf(error), atMs: now() });
      throw error;
    }
  }
}

interface Listed {
  readonly place: Place;
  readonly layers: readonly MountLayer[];
}

/** A mount as a tar. */
interface PackedMount extends Pick<MountLayer, 'id' | 'diffId'> {
  readonly tar: string;
  readonly size: number;
}

type Pack = (id: string) => Promise<PackedMount | undefined>;

function isEmpty(dir: string): boolean {
  return !existsSync(dir) || readdirSync(dir).length === 0;
}

async function lockForPacking(slot: string, id: string, signal: AbortSignal): Promise<Lock> {
  const patience = AbortSignal.timeout(patienceMs);
  try {
    return await waitForLock(slot, 'exclusive', AbortSignal.any([signal, patience]));
  } catch (cause) {
    signal.throwIfAborted();
    throw new BuildError('store', `cache mount ${id} is in use by another build`, {
      cause,
      hint: 'export it when that build has ended',
    });
  }
}

async function unpackInto(
  slot: string,
  { id, diffId, descriptor }: MountLayer,
  store: Store,
  signal: AbortSignal,
): Promise<void> {
  const file = store.blobs.path(descriptor.digest);
  if (file === undefined) throw new BuildError('not-found', `its blob ${descriptor.digest} is gone`);
  const fresh = join(slot, temporaryName('fresh-'));
  const fs = join(slot, 'fs');
  try {
    // Of a process that was killed here: this one has the slot alone.
    for (const name of readdirSync(slot)) if (name.startsWith('fresh-')) await removeTree(join(slot, name));
    mkdirSync(fresh, { mode: 0o700 });
    const name = `of cache mount ${id}`;
    const unpack = { file, name, diffId, into: fresh, maxBytes: maxUnpackedBytes };
    await sharedPool().run({ kind: 'unpack-files', ...unpack }, signal);
    await removeTree(fs);
    renameSync(fresh, fs);
  } finally {
    await removeTree(fresh);
  }
}

/** Nothing when nobody wrote there yet. */
async function mountsAt(place: Place, signal: AbortSignal): Promise<MountLayer[]> {
  const artifacts = await place.read([hostPlatform()], signal);
  return artifacts.flatMap(artifact => mountsIn(artifact, place.name));
}

/** What is broken is replaced. */
function forgiveDamage(error: unknown): MountLayer[] {
  if (error instanceof BuildError && ['integrity', 'hostile'].includes(error.code)) return [];
  throw error;
}

/** Puts a mount's blob into the store. */
async function compress(
  { id, diffId, tar, size }: PackedMount,
  { compression, level }: MountTarget,
  store: Store,
  signal: AbortSignal,
): Promise<MountLayer> {
  await using ingest = await store.blobs.ingest();
  const pack = async () => {
    if (compression !== 'uncompressed') {
      const how = { compression, level: level ?? defaultLevels[compression] };
      return packTar(tar, diffId, ingest.path, how, signal);
    }
    await copyFile(tar, ingest.path);
    return { digest: diffId, size };
  };
  const blob = await pack();
  await ingest.commit(blob.digest);
  return mountLayer(id, diffId, blob, compression);
}
