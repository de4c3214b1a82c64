// The image configuration (OCI image-spec, config.md) with the fields that Docker reads and OCI lacks
// (Healthcheck, OnBuild, Shell, ArgsEscaped). Unknown fields of a base image are kept, but for what says how the base was
// made (build/assemble.ts).
import { BuildError } from '../errors.ts';
import { type DiffId, parseDigest } from './digest.ts';
import { normalize, type Platform } from './platform.ts';

/** Durations are nanoseconds; 0 or absent means the engine's default. */
export interface Healthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface ContainerConfig {
  readonly User?: string;
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
  /** `NAME=value`, in order. */
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly ArgsEscaped?: boolean;
  readonly Volumes?: Readonly<Record<string, Record<string, never>>>;
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
  readonly Healthcheck?: Healthcheck;
  readonly OnBuild?: readonly string[];
  readonly Shell?: readonly string[];
  readonly [unknownField: string]: unknown;
}

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface ImageConfig {
  /** RFC 3339. */
  readonly created?: string;
  readonly author?: string;
  readonly platform: Platform;
  readonly config: ContainerConfig;
  readonly diffIds: readonly DiffId[];
  readonly history: readonly HistoryEntry[];
  /** Top-level fields that are not known here, kept. */
  readonly rest: Readonly<Record<string, unknown>>;
}

const known = new Set([
  'created',
  'author',
  'architecture',
  'os',
  'variant',
  'os.version',
  'os.features',
  'config',
  'rootfs',
  'history',
]);

/** What `FROM scratch` starts from. */
export function emptyConfig(platform: Platform): ImageConfig {
  return { platform, config: {}, diffIds: [], history: [], rest: {} };
}

/** @throws BuildError `integrity` when `value` is no usable image config */
export function configFromJson(value: unknown): ImageConfig {
  const json = object(value, 'the image config');
  const rootfs = object(json.rootfs, 'rootfs of the image config');
  if (!Array.isArray(rootfs.diff_ids ?? [])) throw broken('rootfs.diff_ids is not a list');
  const diffIds = ((rootfs.diff_ids ?? []) as unknown[]).map((id, i) => parseDigest(id, `diff_ids[${i}]`));
  if (typeof json.os !== 'string' || typeof json.architecture !== 'string') {
    throw broken('it names no os and architecture');
  }
  return {
    ...(typeof json.created === 'string' ? { created: json.created } : {}),
    ...(typeof json.author === 'string' ? { author: json.author } : {}),
    platform: normalize({
      os: json.os,
      architecture: json.architecture,
      variant: typeof json.variant === 'string' ? json.variant : undefined,
      ...(typeof json['os.version'] === 'string' ? { osVersion: json['os.version'] } : {}),
      ...(Array.isArray(json['os.features']) ? { osFeatures: json['os.features'].map(String) } : {}),
    }),
    config: json.config == null ? {} : checkContainer(object(json.config, 'config of the image config')),
    diffIds,
    history: Array.isArray(json.history) ? json.history.map(h => object(h, 'a history entry')) : [],
    rest: Object.fromEntries(Object.entries(json).filter(([key]) => !known.has(key))),
  };
}

function checkContainer(json: Record<string, unknown>): ContainerConfig {
  for (const key of ['Env', 'Cmd', 'Entrypoint', 'OnBuild', 'Shell']) {
    const list = json[key];
    if (list == null) continue;
    if (!Array.isArray(list) || list.some(x => typeof x !== 'string'))
      throw broken(`${key} is not a list of strings`);
  }
  for (const entry of (json.Env ?? []) as string[]) {
    if (!/^[^=\0]+=[^\0]*$/s.test(entry)) {
      throw new BuildError(
        'hostile',
        `the image config has an environment entry that is not NAME=value: ${JSON.stringify(entry)}`,
      );
    }
  }
  for (const key of ['User', 'WorkingDir', 'StopSignal']) {
    if (json[key] != null && typeof json[key] !== 'string') throw broken(`${key} is not a string`);
  }
  for (const key of ['Labels', 'Volumes', 'ExposedPorts', 'Healthcheck']) {
    if (json[key] != null) object(json[key], key);
  }
  return Object.fromEntries(Object.entries(json).filter(([, v]) => v !== null)) as ContainerConfig;
}

function object(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw broken(`${what} is not an object`);
}

function broken(why: string): BuildError {
  return new BuildError('integrity', `the image config cannot be used: ${why}`);
}

/** The bytes of the config blob; equal values give equal bytes. */
export function encodeConfig(c: ImageConfig): string {
  const p = c.platform;
  return JSON.stringify({
    ...c.rest,
    architecture: p.architecture,
    ...(c.author ? { author: c.author } : {}),
    config: c.config,
    ...(c.created ? { created: c.created } : {}),
    history: c.history,
    os: p.os,
    ...(p.osFeatures ? { 'os.features': p.osFeatures } : {}),
    ...(p.osVersion ? { 'os.version': p.osVersion } : {}),
    rootfs: { type: 'layers', diff_ids: c.diffIds },
    ...(p.variant ? { variant: p.variant } : {}),
  });
}
