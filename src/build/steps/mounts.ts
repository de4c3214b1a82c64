// RUN --mount: where each mount's content comes from (features, section 4), as host directories that the sandbox can
// bind. What a mount holds never becomes part of a layer; secrets live in memory only.
import { chmodSync, chownSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheKey, type MountInputs } from '../../cache/key.ts';
import { BuildError, printable } from '../../errors.ts';
import { canGiveOwners } from '../../host/ids.ts';
import { openAgentProxy } from '../../host/ssh-agent.ts';
import { type Digest, digestOf } from '../../image/digest.ts';
import type { LayerId } from '../../layer/layers.ts';
import type { CopyStep, MountSpec, Origin, RunStep } from '../../plan/steps.ts';
import type { Sandbox, SandboxMount, StepVolume } from '../../sandbox/sandbox.ts';
import type { SnapshotDriver } from '../../snapshot/driver.ts';
import { bytePath, type Entry } from '../../tree/entry.ts';
import { type CacheMount, type CacheSpec, inOneOrder, openCacheMount } from './cache-mount.ts';
import { planCopy, type Selection, selectionParts, selectSources } from './copy.ts';
import { Masker } from './mask.ts';
import { memoryDirectory } from './memory-directory.ts';
import type { StepScope } from './step.ts';
import { volumesOf } from './volumes.ts';

type BindMount = Extract<MountSpec, { type: 'bind' }>;

/** Everything mounted for one RUN. */
export interface OpenMounts {
  readonly mounts: readonly SandboxMount[];
  /** Where secrets lie meanwhile. */
  readonly volatile: readonly string[];
  /** `NAME=value` that mounts bring: secrets asked for as variables, SSH_AUTH_SOCK. */
  readonly env: readonly string[];
  /** Paths of this machine to give to the user of the step. */
  readonly toGive: readonly string[];
  /** Secrets blackened in what the command writes. */
  mask(stream: 'stdout' | 'stderr', chunk: Uint8Array): Buffer;
  /** What masking held back at the end. */
  maskedRest(stream: 'stdout' | 'stderr'): Buffer;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the key of a RUN needs to know of its bind mounts: the content selected from a context, the state of a stage or image. */
export async function mountInputs(step: RunStep, scope: StepScope): Promise<MountInputs> {
  const inputs = new Map<string, Digest>();
  for (const mount of step.mounts) {
    if (mount.type !== 'bind' && !(mount.type === 'cache' && mount.from.kind !== 'scratch')) continue;
    inputs.set(mount.target, await inputOf(mount.from, mount.source, step, scope));
  }
  return inputs;
}

async function inputOf(from: Origin, source: string, step: RunStep, scope: StepScope): Promise<Digest> {
  switch (from.kind) {
    case 'scratch':
      return digestOf('scratch');
    case 'stage':
      return digestOf(`${(await scope.stageResult(from.stage)).state} ${source}`);
    case 'image':
      return digestOf(`${scope.sources.base(from.base).config.diffIds.join(' ')} ${source}`);
    case 'context':
      return cacheKey(await selectionParts(selectForMount(from, source, step, scope)));
  }
}

/** A mount from a context holds what COPY would copy: the ignore file counts. */
function selectForMount(
  from: Origin & { kind: 'context' },
  source: string,
  step: RunStep,
  scope: StepScope,
): Selection {
  return selectSources(asCopy(from, source, step), scope.sources.context(from.name));
}

function asCopy(from: Origin, source: string, step: RunStep): CopyStep {
  const path = source.replace(/^\/+/, '') || '.';
  return {
    id: step.id,
    stage: step.stage,
    range: step.range,
    display: step.display,
    createdBy: '',
    config: step.config,
    kind: 'copy',
    instruction: 'COPY',
    from,
    items: [{ kind: 'path', path, range: step.range }],
    dest: '/content',
    link: false,
    parents: false,
    excludes: [],
    keepGitDir: false,
    unpack: 'never',
  };
}

/** Prepares every mount of a RUN; disposing takes all of them away again. */
export async function openMounts(
  step: RunStep,
  scope: StepScope,
  driver: SnapshotDriver,
  sandbox: Pick<Sandbox, 'movesSources'>,
): Promise<OpenMounts> {
  const opener = new Opener(step, scope, driver, sandbox.movesSources ?? false);
  try {
    await opener.openAll();
  } catch (error) {
    await opener.close();
    throw error;
  }
  const maskers = { stdout: new Masker(opener.secrets), stderr: new Masker(opener.secrets) };
  return {
    mounts: opener.mounts,
    volatile: opener.volatile,
    env: opener.env,
    toGive: opener.toGive,
    mask: (stream, chunk) => maskers[stream].push(chunk),
    maskedRest: stream => maskers[stream].end(),
    [Symbol.asyncDispose]: () => opener.close(),
  };
}

class Opener {
  readonly mounts: SandboxMount[] = [];
  readonly volatile: string[] = [];
  readonly env: string[] = [];
  readonly toGive: string[] = [];
  readonly secrets: Buffer[] = [];
  readonly #closers: (() => Promise<void> | void)[] = [];
  readonly #step: RunStep;
  readonly #scope: StepScope;
  readonly #driver: SnapshotDriver;
  readonly #movesSources: boolean;
  readonly #caches = new Map<CacheSpec, CacheMount>();
  #memory: string | undefined;
  #sockets = 0;

  constructor(step: RunStep, scope: StepScope, driver: SnapshotDriver, movesSources: boolean) {
    this.#step = step;
    this.#scope = scope;
    this.#driver = driver;
    this.#movesSources = movesSources;
  }

  async openAll(): Promise<void> {
    const { script } = this.#step;
    if (script) this.#file(`/dev/pipes/${script.name}`, Buffer.from(script.text), 0o755, 0, 0);
    for (const volume of volumesOf(this.#scope.request.run?.volumes, this.#step.mounts))
      await this.#volume(volume);
    await this.#openCaches();
    for (const mount of this.#step.mounts) await this.#open(mount);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
    this.#closers.length = 0;
  }

  async #open(mount: MountSpec): Promise<void> {
    switch (mount.type) {
      case 'tmpfs': {
        const size = mount.size === undefined ? {} : { size: mount.size };
        this.mounts.push({ kind: 'tmpfs', target: mount.target, readonly: false, ...size });
        return;
      }
      case 'secret':
        return this.#secret(mount);
      case 'ssh':
        return this.#ssh(mount);
      case 'bind':
        return this.#bind(mount);
      case 'cache':
        return this.#cache(mount);
    }
  }

  #secret(mount: Extract<MountSpec, { type: 'secret' }>): void {
    const value = this.#scope.request.secrets.get(mount.id);
    if (value === undefined) {
      if (!mount.required) {
        // A script under `set -u` may ask for it.
        if (mount.env !== undefined) this.env.push(`${mount.env}=`);
        return;
      }
      throw new BuildError('usage', `the secret "${mount.id}" is required and was not given`, {
        hint: `pass --secret id=${mount.id},src=PATH or --secret id=${mount.id},env=NAME`,
      });
    }
    this.secrets.push(value);
    if (mount.env !== undefined) this.env.push(`${mount.env}=${value.toString('utf8')}`);
    if (mount.target !== undefined) this.#file(mount.target, value, mount.mode, mount.uid, mount.gid);
  }

  /** The step gets an agent that lists keys and signs, and nothing else. */
  async #ssh(mount: Extract<MountSpec, { type: 'ssh' }>): Promise<void> {
    const agent = this.#scope.request.ssh.get(mount.id);
    if (agent === undefined) {
      if (!mount.required) return;
      throw new BuildError('usage', `the SSH agent "${mount.id}" was not given`, {
        hint: `pass --ssh ${mount.id === 'default' ? 'default' : `${mount.id}=SOCKET`}, or --ssh ${mount.id}=KEYFILE`,
      });
    }
    const { mode, uid, gid } = mount;
    const proxy = await openAgentProxy({ agent, mode, uid, gid });
    this.#closers.push(proxy.close);
    const source = proxy.path;
    this.mounts.push({ kind: 'bind', source, target: mount.target, readonly: false, isFile: true });
    const isSet = this.#step.env.some(entry => entry.startsWith('SSH_AUTH_SOCK='));
    if (this.#sockets++ === 0 && !isSet) this.env.push(`SSH_AUTH_SOCK=${mount.target}`);
  }

  /** A file that exists in memory only, bound read-only. */
  #file(target: string, bytes: Buffer, mode: number, uid: number, gid: number): void {
    if (this.#memory === undefined) {
      const memory = memoryDirectory(this.#scope.tools.store.tmp);
      this.#memory = memory.path;
      this.volatile.push(memory.path);
      this.#closers.push(memory.close);
    }
    const path = join(this.#memory, String(this.mounts.length));
    writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' });
    if (canGiveOwners()) chownSync(path, uid, gid);
    chmodSync(path, mode);
    this.mounts.push({ kind: 'bind', source: path, target, readonly: true, isFile: true });
  }

  async #volume({ source, target, access, chown }: StepVolume): Promise<void> {
    const shown = access === 'overlay' ? await this.#overlay([source]) : source;
    if (chown) this.toGive.push(shown);
    const isFile = !statSync(shown).isDirectory();
    this.mounts.push({ kind: 'bind', source: shown, target, readonly: access === 'ro', isFile });
  }

  async #bind(mount: BindMount): Promise<void> {
    const content = await this.#content(mount.from, mount.source, mount.writable);
    this.mounts.push({ kind: 'bind', ...content, target: mount.target, readonly: !mount.writable });
  }

  /** Mounts of one id are one directory, unless each is to have its own. */
  async #openCaches(): Promise<void> {
    const shared = new Map<string, CacheMount>();
    for (const mount of inOneOrder(this.#step.mounts)) {
      const known = mount.sharing === 'private' ? undefined : shared.get(mount.id);
      if (known && this.#movesSources) throw mountedTwice(mount);
      const cache = known ?? (await this.#openCache(mount));
      if (mount.sharing !== 'private') shared.set(mount.id, cache);
      this.#caches.set(mount, cache);
    }
  }

  async #openCache(mount: CacheSpec): Promise<CacheMount> {
    const seed = mount.from.kind === 'scratch' ? undefined : () => this.#seed(mount);
    const { tools, signal, emptiedMounts: emptied } = this.#scope;
    const { watchProgram: watch } = tools.contextHelpers;
    const cache = await openCacheMount(tools.store, mount, signal, {
      ...(seed === undefined ? {} : { seed }),
      ...(emptied === undefined ? {} : { emptied }),
      ...(tools.mountTravel ? { arrive: tools.mountTravel.arrive.bind(tools.mountTravel) } : {}),
      alone: this.#movesSources,
      ...(watch ? { watch } : {}),
    });
    this.#closers.push(cache.close);
    return cache;
  }

  async #seed({ from, source, target }: CacheSpec): Promise<{ source: string }> {
    const content = await this.#content(from, source, false);
    if (!content.isFile) return content;
    throw new BuildError(
      'run',
      `${printable(source)} is a file, and the cache mount at ${printable(target)} is a directory`,
      {
        hint: 'name the directory that holds the file as its source',
      },
    );
  }

  #cache(mount: CacheSpec): void {
    const source = this.#caches.get(mount)?.path ?? '';
    this.mounts.push({ kind: 'bind', source, target: mount.target, readonly: mount.readonly });
  }

  /** The directory or file at `source` of an origin. Writes land beside it and are thrown away. */
  async #content(
    from: Origin,
    source: string,
    writable: boolean,
  ): Promise<{ source: string; isFile: boolean }> {
    const { layers, path } = await this.#layersOf(from, source);
    const view = await this.#scope.sources.view(layers, 'a mount', this.#scope.signal, 'names');
    const place = view.resolve(bytePath(path.replace(/^\/+/, '')));
    const entry = place === undefined ? undefined : place === '' ? rootEntry : view.lookup(place);
    if (place === undefined || !entry) {
      throw new BuildError('context', `the source of a mount does not exist: ${source}`, {
        facts: { path: source },
      });
    }
    if (entry.type !== 'directory' && entry.type !== 'file' && entry.type !== 'hardlink') {
      throw new BuildError('hostile', `the source of a mount is a ${entry.type}: ${source}`);
    }
    const root = await this.#mountLayers(layers, writable);
    return {
      source: place === '' ? root : join(root, Buffer.from(place, 'latin1').toString('utf8')),
      isFile: entry.type !== 'directory',
    };
  }

  async #layersOf(from: Origin, source: string): Promise<{ layers: readonly LayerId[]; path: string }> {
    const scope = this.#scope;
    switch (from.kind) {
      case 'scratch':
        return { layers: [], path: source };
      case 'stage':
        return { layers: (await scope.stageResult(from.stage)).layers, path: source };
      case 'image':
        return { layers: scope.sources.base(from.base).layers, path: source };
      case 'context': {
        const empty = await scope.sources.view([], 'a mount', scope.signal);
        const selection = selectForMount(from, source, this.#step, scope);
        const entries = planCopy(selection, empty, asCopy(from, source, this.#step), undefined, { nowMs: 0 });
        if (entries.length === 0) return { layers: [], path: '/' };
        return { layers: [await scope.tools.layers.write(entries, scope.signal)], path: '/content' };
      }
    }
  }

  async #mountLayers(layers: readonly LayerId[], writable: boolean): Promise<string> {
    const { tools, signal } = this.#scope;
    const trees = await tools.layers.trees(layers, signal);
    const [only] = trees;
    if (only !== undefined && trees.length === 1 && !writable) return only;
    return this.#overlay(trees);
  }

  /** A directory that shows others; what is written to it goes away with it. */
  async #overlay(trees: readonly string[]): Promise<string> {
    const upper = await this.#scope.tools.store.trees.begin();
    this.#closers.push(() => upper[Symbol.asyncDispose]());
    const snapshot = await this.#driver.mount(trees, upper.fs, upper.dir);
    this.#closers.push(() => snapshot.close());
    return snapshot.root;
  }
}

const rootEntry: Pick<Entry, 'type'> = { type: 'directory' };

function mountedTwice({ id }: CacheSpec): BuildError {
  return new BuildError(
    'sandbox',
    `the cache mount ${printable(id)} cannot be in two places of one step here`,
    {
      hint: 'nothing is really mounted with --isolation=chroot; slipway info says why the stronger ones do not work',
    },
  );
}
