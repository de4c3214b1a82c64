// Picks the real tools for this machine and hands them to build. Opened late: each command pays for what it uses.
import { availableParallelism, homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { makeBaseFinder } from '../build/base-finder.ts';
import type { CheckPushRight } from '../build/deliver.ts';
import type { Tools } from '../build/tools.ts';
import { openRecords } from '../cache/records.ts';
import { openStatIndex } from '../cache/stat-index.ts';
import type { Download } from '../context/download.ts';
import { BuildError, printable } from '../errors.ts';
import type { Emit, Outcome } from '../events.ts';
import type { Push, StreamBlob } from '../export/tools.ts';
import { rootlessOf } from '../host/ids.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { shortId } from '../image/digest.ts';
import { parseReference, type Reference, withDefaultTag } from '../image/reference.ts';
import type { ImageTools } from '../images/tools.ts';
import { sharedPool } from '../layer/pool.ts';
import { openLayers } from '../layer/store-layers.ts';
import { bucketsOf, layoutsOf, originsOf } from '../registry/pull.ts';
import type { Registries } from '../registry/registry.ts';
import type { Isolation } from '../sandbox/probe.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { defaultStoreRoot, openStore } from '../store/open.ts';
import type { BlobSource, Store } from '../store/store.ts';
import { formatSize } from './format.ts';
import type { GivenRegistryOptions } from './options/registry-options.ts';
import type { Session } from './session.ts';

export interface OpenedStore extends Store {
  [Symbol.asyncDispose](): Promise<void>;
}

/** The store that `--root` or the environment names. */
export async function openStoreFor(session: Session, command: Command): Promise<OpenedStore> {
  const { root } = command.optsWithGlobals<{ root?: string }>();
  const path =
    root ?? defaultStoreRoot(session.env, rootlessOf(session.env)?.uid ?? process.geteuid?.() ?? 0);
  const store = await openStore(path, { onWarning: text => session.err(`warning: ${text}\n`) });
  const stay = setTimeout(() => becomeVisible(store), visibleAfterMs).unref();
  return Object.assign(store, {
    [Symbol.asyncDispose]: async () => {
      clearTimeout(stay);
      await store.close();
    },
  });
}

/** Well below the time for which prune spares what was used just now. */
const visibleAfterMs = 2000;

/** Makes this process one that prune sees, so that what it has looked up stays; shorter ones need it not. */
function becomeVisible(store: Store): void {
  try {
    if (!store.tmp) return;
  } catch {
    // A full disk: then whatever this process does will say so.
  }
}

/** Registries as this user's files configure them. @param given by flags (options/registry-options.ts) */
export async function openRegistriesFor(
  session: Session,
  given: GivenRegistryOptions = {},
): Promise<Registries> {
  const { openRegistries } = await import('../registry/registry.ts');
  return openRegistries({ ...given, ...placesFor(session) });
}

/** What a name without a host may stand for, by registries.conf, in order. No network is used. */
export async function meaningsOf(session: Session, name: string): Promise<readonly Reference[]> {
  const { openRegistriesConf } = await import('../registry/registries-conf.ts');
  return openRegistriesConf({ ...placesFor(session), etc: '/etc' }).candidates(name);
}

/** Where this user's credentials and configuration are. */
export function placesFor(session: Session): { env: Session['env']; home: string } {
  return { env: session.env, home: session.env.HOME || homedir() };
}

export interface Wired {
  readonly tools: Tools;
  readonly push: Push;
  readonly stream: StreamBlob;
  readonly checkPushRight: CheckPushRight;
  /** For commands that work on images. */
  readonly images: ImageTools;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The tools of a command that works on images. */
export function openImageTools(
  session: Session,
  command: Command,
  registries?: GivenRegistryOptions,
): Promise<Wired> {
  return openTools(session, command, {
    emit: () => {},
    isolation: 'auto',
    ...(registries ? { registries } : {}),
  });
}

export interface WireOptions {
  readonly emit: Emit;
  readonly isolation: string;
  readonly registries?: GivenRegistryOptions;
  /** No socket is opened: what would need one is an error. Default false. */
  readonly offline?: boolean;
}

export async function openTools(session: Session, command: Command, options: WireOptions): Promise<Wired> {
  const store = await openStoreFor(session, command);
  const network = withPlaces(
    store,
    options.offline ? noNetwork() : lazyNetwork(session, store, options),
    options,
  );
  const layers = openLayers(store, network.source);
  const claimed: BlobSource = {
    fetch: (blob, signal) =>
      network.source.fetch(blob, signal).catch((error: unknown) => {
        throw layers.lost(blob.digest, error, signal);
      }),
  };
  const sandbox = once(() => takeSandbox(session, store, options.isolation as Isolation));
  const tools: Tools = {
    store,
    layers,
    records: openRecords(store.meta),
    bases: makeBaseFinder({
      store,
      layers,
      cwd: session.cwd,
      meanings: name => meaningsOf(session, name),
      resolveRemote: async (ref, request, signal) => {
        const { pullImage } = await import('../registry/pull.ts');
        return pullImage(await network.registries(), store, ref, request.platform, signal);
      },
    }),
    sandbox,
    sandboxWasChosen: options.isolation !== 'auto',
    snapshots: once(async () => {
      const { name } = await sandbox();
      if (name === 'chroot' || name === 'proot')
        return (await import('../snapshot/copying.ts')).copyingDriver();
      const { chooseSnapshots } = await import('../snapshot/probe.ts');
      return chooseSnapshots(store.tmp);
    }),
    contextHelpers: {
      stdin: process.stdin,
      statIndex: scope => openStatIndex(store.meta, scope),
      hashContents: contents => sharedPool().run({ kind: 'hash', contents }),
      download: network.download,
      gitEnv: session.env,
      watchProgram: async () => (await import('../sandbox/watchdog.ts')).watchGroup,
    },
    download: network.download,
    emit: options.emit,
    now: () => Date.now(),
    signal: session.signal,
    parallelism: availableParallelism(),
  };
  return {
    tools,
    images: {
      store,
      layers,
      source: claimed,
      registries: network.registries,
      cwd: session.cwd,
      signal: session.signal,
    },
    stream: async (name, signal) => (await network.registries()).stream(parseReference(name), signal),
    checkPushRight: async (name, signal) =>
      (await network.registries()).checkPushRight(parseReference(name), signal),
    push: async (target, signal) => {
      const { pushStored } = await import('../registry/push-stored.ts');
      const { tag: _, ...untagged } = parseReference(target.name);
      const reference = target.byDigest ? untagged : withDefaultTag(parseReference(target.name));
      await pushStored(await network.registries(), store, claimed, target.root, [reference], signal);
    },
    async [Symbol.asyncDispose]() {
      await network.close();
      await store[Symbol.asyncDispose]();
    },
  };
}

interface Network {
  registries(): Promise<Registries>;
  readonly source: BlobSource;
  readonly download: Download;
  close(): Promise<void>;
}

/** For --offline. */
function noNetwork(): Network {
  const refuse = (what: string) => {
    throw new BuildError('not-found', `${what} is not in the local store, and the build is offline`, {
      hint: 'build once without --offline',
    });
  };
  return {
    registries: async () => refuse('an image'),
    source: { fetch: async ({ digest }) => refuse(`the layer ${digest}`) },
    download: async ({ url }) => refuse(printable(url)),
    close: async () => {},
  };
}

/** Blobs that a directory or a bucket was seen to have come from there. */
function withPlaces(store: Store, network: Network, options: WireOptions): Network {
  return { ...network, source: placesSource(store, network.source, options) };
}

/** @param others where a blob comes from that no directory and no bucket has */
export function placesSource(
  store: Store,
  others: BlobSource,
  { emit, offline }: Pick<WireOptions, 'emit' | 'offline'>,
): BlobSource {
  const fetch: BlobSource['fetch'] = async (blob, signal) => {
    if (layoutsOf(store, blob.digest).length > 0) {
      const { fetchFromLayouts } = await import('../artifact/layout.ts');
      if (await fetchFromLayouts(store, blob, signal)) return;
    }
    if (!offline && bucketsOf(store, blob.digest).length > 0) {
      const { fetchFromBuckets } = await import('../artifact/s3.ts');
      try {
        if (await announced(blob, emit, () => fetchFromBuckets(store, blob, signal))) return;
      } catch (error) {
        if (originsOf(store, blob.digest).length === 0) throw error;
      }
    }
    await others.fetch(blob, signal);
  };
  return { fetch };
}

async function takeSandbox(session: Session, store: Store, isolation: Isolation): Promise<Sandbox> {
  const { chooseSandbox } = await import('../sandbox/probe.ts');
  if (rootlessOf(session.env)?.ids === 'single') warnOfSingleId(session);
  const memory = join(store.root, 'sandbox.json');
  const chosen = await chooseSandbox({ isolation, memory, signal: session.signal });
  if (chosen.name === 'proot') warnOfPretence(session);
  return chosen;
}

function warnOfSingleId(session: Session): void {
  session.err(
    'warning: you have no subordinate ids: steps run as root only, and cannot give files to others\n' +
      '  try, as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER\n',
  );
}

function warnOfPretence(session: Session): void {
  const lost =
    process.geteuid?.() === 0
      ? 'files that a step makes as another USER'
      : 'files that a step gives to others';
  session.err(
    `warning: proot only pretends to have other users: ${lost} belong to root in the image\n` +
      '  try: slipway info says why no other sandbox works here, and --isolation names one\n',
  );
}

/** Nothing of the network is loaded until a step asks for it. */
function lazyNetwork(session: Session, store: Store, { emit, registries: given }: WireOptions): Network {
  const web = once(async () => {
    const [{ openHttp }, { makeDownload }] = await Promise.all([
      import('../host/http.ts'),
      import('../context/download.ts'),
    ]);
    const http = openHttp({ env: session.env });
    closers.push(() => http.close());
    return makeDownload(http);
  });
  const closers: (() => Promise<void>)[] = [];
  let opened: Promise<Registries> | undefined;
  const registries = () => {
    opened ??= openRegistriesFor(session, given);
    return opened;
  };
  const source = once(async () => {
    const { registryBlobSource } = await import('../registry/pull.ts');
    const forward: Emit = event =>
      emit(event.kind === 'progress' ? { ...event, id: `blob:${event.item}` } : event);
    return registryBlobSource(await registries(), store, forward);
  });
  return {
    registries,
    source: {
      fetch: async (descriptor, signal) => {
        if (store.blobs.path(descriptor.digest)) return;
        await announced(descriptor, emit, async () => (await source()).fetch(descriptor, signal));
      },
    },
    download: async request => (await web())(request),
    close: async () => {
      // One that could not be opened has nothing to close; its error was reported where it was asked for.
      await (await opened?.catch(() => undefined))?.close();
      for (const close of closers) await close();
    },
  };
}

/** Shows that a blob is fetched. */
async function announced<T>({ digest, size }: Descriptor, emit: Emit, work: () => Promise<T>): Promise<T> {
  const id = `blob:${digest}`;
  const name = `[internal] fetch ${shortId(digest)} (${formatSize(size)})`;
  emit({ kind: 'start', id, name, atMs: Date.now() });
  let outcome: Outcome = 'failed';
  try {
    const result = await work();
    outcome = 'done';
    return result;
  } finally {
    emit({ kind: 'end', id, outcome, atMs: Date.now() });
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
