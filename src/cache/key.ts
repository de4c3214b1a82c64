// Cache keys: a digest over a versioned, canonical encoding of everything that can change what a step produces, and
// nothing else. README.md lists the ingredients. Pure.
import { createHash } from 'node:crypto';
import { type DiffId, type Digest, digestFromHash } from '../image/digest.ts';
import { formatPlatform, type Platform } from '../image/platform.ts';
import type { LayerId } from '../layer/layers.ts';
import type { CopyStep, MountSpec, RunStep, WorkdirStep } from '../plan/steps.ts';

/** Raised when the encoding or the meaning of an ingredient changes: older records are then no longer found. */
export const keyVersion = 1;

declare const cacheKeyBrand: unique symbol;
/** `sha256:...` over the parts of a step. */
export type CacheKey = Digest & { readonly [cacheKeyBrand]: true };

declare const stateBrand: unique symbol;
/** Digest over what the file system of a stage is at a point: the layers it is made of, whatever made them. */
export type StateId = Digest & { readonly [stateBrand]: true };

/** One ingredient, readable, so that two keys can be compared part by part. Order counts. */
export interface KeyPart {
  readonly name: string;
  readonly value: string;
}

/** Each text is preceded by its length in bytes, so no two lists of texts have the same encoding. */
export function frame(texts: readonly string[]): string {
  return texts.map(text => `${Buffer.byteLength(text)}:${text}`).join('');
}

function digestOfFramed(kind: string, texts: readonly string[]): Digest {
  const hash = createHash('sha256').update(`slipway ${kind} v${keyVersion}\n`).update(frame(texts));
  return digestFromHash(hash.digest('hex'));
}

export function cacheKey(parts: readonly KeyPart[]): CacheKey {
  return digestOfFramed(
    'step',
    parts.flatMap(part => [part.name, part.value]),
  ) as CacheKey;
}

/** Where a stage starts; no layers for scratch. Equal layers are an equal state, whatever the image was called. */
export function baseState(diffIds: readonly DiffId[]): StateId {
  return diffIds.reduce<StateId>(nextState, digestOfFramed('state', []) as StateId);
}

/**
 * The state after a step.
 * @param layer undefined or null when the step changed nothing: the state stays the same
 */
export function nextState(state: StateId, layer: LayerId | null | undefined): StateId {
  return layer == null ? state : (digestOfFramed('state', [state, layer]) as StateId);
}

/** A step's key with the parts it was made of. */
export interface ReadableKey {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
}

function keyed(parts: readonly KeyPart[]): ReadableKey {
  return { key: cacheKey(parts), parts };
}

function optional(name: string, value: string | undefined): KeyPart[] {
  return value === undefined ? [] : [{ name, value }];
}

/** What a bind mount, or the seed of a cache mount, holds: a digest of the selected files, by target path. */
export type MountInputs = ReadonlyMap<string, Digest>;

/** What the command sees that neither the step nor the state below it says. */
export interface RunSettings {
  readonly platform: Platform;
  /** In effect, after the default of the build. */
  readonly network: 'host' | 'none' | 'private';
  /** `--add-host` as [name, ip]. */
  readonly extraHosts: readonly (readonly [string, string])[];
  /** What the user asks for every step and what decides what it can do. */
  readonly asked?: readonly KeyPart[];
}

/** @param inputs a digest for the target of every bind mount, and of every cache mount that starts with content */
export function runKey(
  state: StateId,
  step: RunStep,
  inputs: MountInputs,
  settings: RunSettings,
): ReadableKey {
  return keyed([
    { name: 'kind', value: 'run' },
    { name: 'state', value: state },
    { name: 'platform', value: formatPlatform(settings.platform) },
    ...step.argv.map(value => ({ name: 'argv', value })),
    ...optional('script name', step.script?.name),
    ...optional('script', step.script?.text),
    ...envParts(step.env),
    { name: 'workdir', value: step.workdir },
    { name: 'user', value: step.user },
    { name: 'network', value: settings.network },
    ...settings.extraHosts.map(([name, ip]) => ({ name: `host ${name}`, value: ip })),
    ...(settings.asked ?? []),
    { name: 'security', value: step.security },
    ...step.devices.map(({ name }) => ({ name: 'device', value: name })),
    ...optional('hostname', step.hostname),
    ...step.mounts.map(mount => ({ name: `mount ${mountTarget(mount)}`, value: mountValue(mount, inputs) })),
  ]);
}

/** Later values win as they do for the process, and order is not seen: sorted by name in byte order. */
function envParts(env: readonly string[]): KeyPart[] {
  const values = new Map<string, string>();
  for (const entry of env) {
    const at = entry.indexOf('=');
    values.set(at < 0 ? entry : entry.slice(0, at), at < 0 ? '' : entry.slice(at + 1));
  }
  return [...values]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([name, value]) => ({ name: `env ${name}`, value }));
}

function mountTarget(mount: MountSpec): string {
  return mount.type === 'secret' ? (mount.target ?? `$${mount.env ?? ''}`) : mount.target;
}

function mountValue(mount: MountSpec, inputs: MountInputs): string {
  switch (mount.type) {
    case 'bind':
      return frame([
        'bind',
        mount.target,
        inputs.get(mount.target) ?? '',
        mount.writable ? 'writable' : 'readonly',
      ]);
    case 'cache':
      return frame(['cache', mount.id, mount.target, inputs.get(mount.target) ?? '']);
    case 'tmpfs':
      return frame(['tmpfs', mount.target]);
    case 'secret':
      return frame(['secret', mount.id, mount.target ?? '', mount.env ?? '']);
    case 'ssh':
      return frame(['ssh', mount.id, mount.target]);
  }
}

/**
 * What a COPY says, with the state of what it copies from in place of the bytes. Known before anything is hashed; a
 * record found under it saves reading the source.
 * @param source stands for everything in the stage or image copied from
 */
export function copyRecipeKey(state: StateId, source: string, step: CopyStep): ReadableKey {
  return keyed([
    { name: 'kind', value: 'copy recipe' },
    { name: 'state', value: state },
    { name: 'source', value: source },
    ...step.items.map(item => ({ name: item.kind, value: itemValue(item) })),
    ...step.excludes.map(value => ({ name: 'exclude', value })),
    { name: 'parents', value: String(step.parents) },
    ...copyParts(step),
  ]);
}

/**
 * What a COPY or ADD does with the bytes it found.
 * @param content of the selected files at their destination: a {@link selectionDigest}, or parts that say it
 */
export function copyContentKey(
  state: StateId,
  step: CopyStep,
  content: Digest | readonly KeyPart[],
): ReadableKey {
  return keyed([
    { name: 'kind', value: 'copy' },
    // --link: the layer is made without looking at what is below.
    { name: 'state', value: step.link ? '' : state },
    ...(typeof content === 'string' ? [{ name: 'content', value: content }] : content),
    ...copyParts(step),
  ]);
}

function copyParts(step: CopyStep): KeyPart[] {
  return [
    { name: 'dest', value: step.dest },
    ...optional('chown', step.chown),
    ...optional('chmod', step.chmod),
    { name: 'link', value: String(step.link) },
    { name: 'unpack', value: step.unpack },
    { name: 'keep-git-dir', value: String(step.keepGitDir) },
  ];
}

function itemValue(item: CopyStep['items'][number]): string {
  switch (item.kind) {
    case 'path':
      return item.path;
    case 'inline':
      return frame([item.name, item.text]);
    case 'url':
    case 'git':
      return item.url;
  }
}

export function workdirKey(state: StateId, step: WorkdirStep): ReadableKey {
  return keyed([
    { name: 'kind', value: 'workdir' },
    { name: 'state', value: state },
    { name: 'path', value: step.path },
    { name: 'user', value: step.user },
  ]);
}

/** A part that differs between two lists, for saying why a step was not cached. Absent values are undefined. */
export interface Difference {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What differs, in the order of `after`; parts of one name are compared in their order. */
export function differences(before: readonly KeyPart[], after: readonly KeyPart[]): Difference[] {
  const old = byName(before);
  const fresh = byName(after);
  const found: Difference[] = [];
  for (const name of new Set([...fresh.keys(), ...old.keys()])) {
    const a = old.get(name) ?? [];
    const b = fresh.get(name) ?? [];
    for (let i = 0; i < Math.max(a.length, b.length); i++) {
      if (a[i] !== b[i]) found.push({ name, before: a[i], after: b[i] });
    }
  }
  return found;
}

function byName(parts: readonly KeyPart[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const { name, value } of parts) map.set(name, [...(map.get(name) ?? []), value]);
  return map;
}
