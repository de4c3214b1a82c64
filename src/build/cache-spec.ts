// What `--cache-from` and `--cache-to` ask for, with the keys of `docker buildx build`
// (https://docs.docker.com/build/cache/backends/). Pure.
import type { S3Location } from '../artifact/s3.ts';
import type { S3Credentials } from '../artifact/s3-client.ts';
import { csvFields } from '../dockerfile/csv.ts';
import { parseBoolean } from '../dockerfile/directives.ts';
import { suggest } from '../dockerfile/suggest.ts';
import { BuildError, printable } from '../errors.ts';
import { type Digest, parseDigest } from '../image/digest.ts';
import type { Compression } from '../image/media-type.ts';
import { parseReference, type Reference, withDefaultTag } from '../image/reference.ts';

/** A cache in a bucket of an S3-compatible server. */
export interface S3Cache {
  readonly kind: 's3';
  readonly location: S3Location;
  /** Of the cache in the bucket. */
  readonly name: string;
  /** Absent: those of the environment. */
  readonly credentials?: S3Credentials;
}

export type CacheSource =
  | S3Cache
  | { readonly kind: 'registry'; readonly ref: Reference }
  | { readonly kind: 'local'; readonly src: string; readonly tag?: string; readonly digest?: Digest };

interface Writing {
  /** min: steps of the final image's stage and of those that it is FROM; max: all. Default min. */
  readonly mode: 'min' | 'max';
  /** Default gzip. */
  readonly compression: Compression;
  readonly level?: number;
  /** Layers that came packed otherwise are packed anew. Default false. */
  readonly force: boolean;
  /** What goes wrong is a warning. Default false. */
  readonly ignoreError: boolean;
}

export type CacheTarget =
  | (S3Cache & Writing)
  | ({ readonly kind: 'registry'; readonly ref: Reference } & Writing)
  | ({
      readonly kind: 'local';
      readonly dest: string;
      readonly tag?: string;
      readonly reset: boolean;
    } & Writing)
  | { readonly kind: 'inline' };

const writingKeys = [
  'mode',
  'compression',
  'compression-level',
  'force-compression',
  'ignore-error',
  'oci-mediatypes',
  'image-manifest',
];
const s3Keys = [
  'bucket',
  'region',
  'prefix',
  'blobs_prefix',
  'manifests_prefix',
  'name',
  'endpoint_url',
  'use_path_style',
  'access_key_id',
  'secret_access_key',
  'session_token',
];
const sourceKeys: Readonly<Record<string, readonly string[]>> = {
  registry: ['ref'],
  local: ['src', 'tag', 'digest'],
  s3: s3Keys,
};
const targetKeys: Readonly<Record<string, readonly string[]>> = {
  registry: ['ref', ...writingKeys],
  local: ['dest', 'tag', 'reset', ...writingKeys],
  inline: ['mode', 'ignore-error'],
  s3: [...s3Keys, ...writingKeys],
};
const elsewhere = ['gha', 'azblob'];

/** @throws BuildError `usage`, `unsupported` */
export function parseCacheSource(text: string): CacheSource {
  const spec = new Spec('--cache-from', text);
  if (spec.type === 'inline') {
    throw spec.wrong(
      'records in an image are found by its name',
      'write --cache-from type=registry,ref=IMAGE',
    );
  }
  switch (spec.known(sourceKeys)) {
    case 'registry':
      return { kind: 'registry', ref: reference(spec) };
    case 's3':
      return s3Cache(spec);
    default: {
      const digest = spec.get('digest');
      return {
        kind: 'local',
        src: spec.need('src', 'DIRECTORY'),
        ...tagOf(spec),
        ...(digest === undefined ? {} : { digest: parseDigest(digest, 'digest of --cache-from') }),
      };
    }
  }
}

/** @throws BuildError `usage`, `unsupported` */
export function parseCacheTarget(text: string): CacheTarget {
  const spec = new Spec('--cache-to', text);
  switch (spec.known(targetKeys)) {
    case 'registry':
      return { kind: 'registry', ref: reference(spec), ...writing(spec) };
    case 's3':
      return { ...s3Cache(spec), ...writing(spec) };
    case 'local':
      return {
        kind: 'local',
        dest: spec.need('dest', 'DIRECTORY'),
        ...tagOf(spec),
        reset: spec.flag('reset', false),
        ...writing(spec),
      };
    default:
      if (spec.get('mode') === 'max') {
        throw spec.wrong(
          'an image has the layers of its own steps only',
          'leave out mode=max, or use type=registry',
        );
      }
      return { kind: 'inline' };
  }
}

function s3Cache(spec: Spec): S3Cache {
  const [region, endpoint] = [spec.get('region'), spec.get('endpoint_url')];
  if (endpoint !== undefined && !/^https?:\/\/[^/]/.test(endpoint)) {
    throw spec.wrong('endpoint_url is no http or https URL');
  }
  const [accessKeyId, secretAccessKey] = [spec.get('access_key_id'), spec.get('secret_access_key')];
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw spec.wrong('access_key_id and secret_access_key belong together');
  }
  const sessionToken = spec.get('session_token');
  return {
    kind: 's3',
    location: {
      bucket: spec.need('bucket', 'NAME'),
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
      pathStyle: spec.flag('use_path_style', false),
      prefix: spec.get('prefix') ?? '',
      blobsPrefix: spec.get('blobs_prefix') ?? 'blobs/',
      manifestsPrefix: spec.get('manifests_prefix') ?? 'manifests/',
    },
    name: spec.get('name') ?? 'slipway',
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
      : {}),
  };
}

function reference(spec: Spec): Reference {
  const ref = parseReference(spec.need('ref', 'HOST/NAME:TAG'));
  if (ref.digest && spec.name === '--cache-to')
    throw spec.wrong('what a digest stands for cannot be changed', 'give a tag');
  return withDefaultTag(ref);
}

function tagOf(spec: Spec): { tag?: string } {
  const tag = spec.get('tag');
  if (tag === undefined) return {};
  if (!/^\w[\w.-]{0,127}$/.test(tag)) throw spec.wrong(`tag=${printable(tag)} is no tag`);
  return { tag };
}

function writing(spec: Spec): Writing {
  const mode = spec.get('mode') ?? 'min';
  if (mode !== 'min' && mode !== 'max') throw spec.wrong(`mode=${printable(mode)} is neither min nor max`);
  for (const key of ['oci-mediatypes', 'image-manifest']) {
    if (spec.flag(key, true)) continue;
    throw new BuildError('unsupported', `${spec.name}: ${key}=false is not supported`, {
      hint: 'a cache is always an OCI image manifest',
    });
  }
  const compression = spec.get('compression') ?? 'gzip';
  if (compression !== 'gzip' && compression !== 'zstd' && compression !== 'uncompressed') {
    throw spec.wrong(
      `there is no compression "${printable(compression)}"`,
      'the compressions are uncompressed, gzip and zstd',
    );
  }
  const level = spec.get('compression-level');
  const highest = compression === 'zstd' ? 22 : 9;
  if (level !== undefined && !(/^\d{1,2}$/.test(level) && Number(level) <= highest)) {
    throw spec.wrong(`compression-level=${printable(level)} is not a number from 0 to ${highest}`);
  }
  return {
    mode,
    compression,
    ...(level === undefined ? {} : { level: Number(level) }),
    force: spec.flag('force-compression', false),
    ignoreError: spec.flag('ignore-error', false),
  };
}

/** The fields of one specification. */
class Spec {
  readonly name: string;
  readonly type: string;
  readonly #text: string;
  readonly #values = new Map<string, string>();

  constructor(name: string, text: string) {
    this.name = name;
    this.#text = text;
    const fields = csvFields(text);
    if ('problem' in fields) throw this.wrong(fields.problem);
    // As docker has it: a name alone is one in a registry.
    if (fields.every(({ value }) => !value.includes('='))) {
      if (fields.length !== 1 || text.trim() === '') throw this.wrong('it names no cache');
      this.#values.set('ref', text.trim());
      this.type = 'registry';
      return;
    }
    for (const { value } of fields) {
      const at = value.indexOf('=');
      if (at < 0) throw this.wrong(`"${printable(value)}" is not key=value`);
      const key = value.slice(0, at).trim().toLowerCase();
      if (this.#values.has(key)) throw this.wrong(`${printable(key)} is given twice`);
      this.#values.set(key, value.slice(at + 1));
    }
    this.type = this.#values.get('type') ?? '';
    this.#values.delete('type');
  }

  /** @returns the type @throws BuildError unless type and keys are known */
  known(keysOf: Readonly<Record<string, readonly string[]>>): string {
    const types = Object.keys(keysOf).join(', ');
    if (elsewhere.includes(this.type)) {
      throw new BuildError('unsupported', `${this.name} type=${this.type} is not supported`, {
        hint: `the types are ${types}; a directory can be kept by whatever keeps directories between runs`,
      });
    }
    const keys = Object.hasOwn(keysOf, this.type) ? keysOf[this.type] : undefined;
    if (!keys) {
      const what = this.type === '' ? 'it has no type' : `there is no type "${printable(this.type)}"`;
      throw this.wrong(what, `the types are ${types}`);
    }
    for (const key of this.#values.keys()) {
      if (keys.includes(key)) continue;
      const near = suggest(key, keys);
      throw this.wrong(
        `type=${this.type} has no key "${printable(key)}"`,
        near ? `did you mean ${near}?` : `its keys are ${keys.join(', ')}`,
      );
    }
    return this.type;
  }

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  need(key: string, what: string): string {
    const value = this.#values.get(key);
    if (value !== undefined && value !== '' && !value.includes('\0')) return value;
    throw this.wrong(`type=${this.type} needs ${key}`, `add ${key}=${what}`);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#values.get(key);
    const flag = value === undefined ? fallback : parseBoolean(value);
    if (flag === undefined) throw this.wrong(`${key}=${printable(value ?? '')} is neither true nor false`);
    return flag;
  }

  wrong(why: string, hint?: string): BuildError {
    // Keys may stand in it.
    const shown = this.type === 's3' || /secret|token/i.test(this.#text) ? 'type=s3,...' : this.#text;
    return new BuildError(
      'usage',
      `${this.name} ${printable(shown)}: ${why}`,
      hint === undefined ? {} : { hint },
    );
  }
}
