// What `--cache-from`, `--cache-to`, `--cache-mount-from` and `--cache-mount-to` have in common: `key=value` fields that say
// where something is kept, and how it is packed. Pure.
import type { S3Location } from '../artifact/s3.ts';
import type { S3Credentials } from '../artifact/s3-client.ts';
import { csvFields } from '../dockerfile/csv.ts';
import { parseBoolean } from '../dockerfile/directives.ts';
import { suggest } from '../dockerfile/suggest.ts';
import { BuildError, printable } from '../errors.ts';
import type { Compression } from '../image/media-type.ts';
import { parseReference, type Reference, withDefaultTag } from '../image/reference.ts';

/** Something in a bucket of an S3-compatible server. */
export interface S3Storage {
  readonly kind: 's3';
  readonly location: S3Location;
  /** In the bucket. */
  readonly name: string;
  /** Absent: those of the environment. */
  readonly credentials?: S3Credentials;
}

export const s3Keys = [
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
const elsewhere = ['gha', 'azblob'];

export function s3Storage(spec: Spec, defaultName: string): S3Storage {
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
    name: spec.get('name') ?? defaultName,
    ...(accessKeyId !== undefined && secretAccessKey !== undefined
      ? { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
      : {}),
  };
}

/** @param mayBeDigest whether it is only read */
export function reference(spec: Spec, mayBeDigest: boolean): Reference {
  const ref = parseReference(spec.need('ref', 'HOST/NAME:TAG'));
  if (ref.digest && !mayBeDigest)
    throw spec.wrong('what a digest stands for cannot be changed', 'give a tag');
  return withDefaultTag(ref);
}

export function tagOf(spec: Spec): { tag?: string } {
  const tag = spec.get('tag');
  if (tag === undefined) return {};
  if (!/^\w[\w.-]{0,127}$/.test(tag)) throw spec.wrong(`tag=${printable(tag)} is no tag`);
  return { tag };
}

export interface Packing {
  /** Default gzip. */
  readonly compression: Compression;
  /** On the codec's own scale; absent: its default. */
  readonly level?: number;
}

export function packing(spec: Spec): Packing {
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
  return { compression, ...(level === undefined ? {} : { level: Number(level) }) };
}

export interface SpecForm {
  /** A name alone is one in a registry. Default false. */
  readonly nameAlone?: boolean;
  /** Keys that may be given several times. Default none. */
  readonly repeated?: readonly string[];
}

/** The fields of one specification. */
export class Spec {
  readonly name: string;
  readonly type: string;
  readonly #text: string;
  readonly #values = new Map<string, string[]>();

  /** @throws BuildError `usage` when it is no list of `key=value` */
  constructor(name: string, text: string, { nameAlone = false, repeated = [] }: SpecForm = {}) {
    this.name = name;
    this.#text = text;
    const fields = csvFields(text);
    if ('problem' in fields) throw this.wrong(fields.problem);
    // As docker has it: a name alone is one in a registry.
    if (nameAlone && fields.every(({ value }) => !value.includes('='))) {
      if (fields.length !== 1 || text.trim() === '') throw this.wrong('it names no cache');
      this.#values.set('ref', [text.trim()]);
      this.type = 'registry';
      return;
    }
    for (const { value } of fields) {
      const at = value.indexOf('=');
      if (at < 1) throw this.wrong(`"${printable(value)}" is not key=value`);
      const key = value.slice(0, at).trim().toLowerCase();
      const given = this.all(key);
      if (given.length > 0 && !repeated.includes(key)) throw this.wrong(`${printable(key)} is given twice`);
      this.#values.set(key, [...given, value.slice(at + 1)]);
    }
    this.type = this.get('type') ?? '';
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
    return this.#values.get(key)?.[0];
  }

  /** Every value of a key that may be repeated. */
  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  need(key: string, what: string): string {
    const value = this.get(key);
    if (value !== undefined && value !== '' && !value.includes('\0')) return value;
    throw this.wrong(`type=${this.type} needs ${key}`, `add ${key}=${what}`);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.get(key);
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
