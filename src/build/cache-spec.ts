// What `--cache-from` and `--cache-to` ask for, with the keys of `docker buildx build`
// (https://docs.docker.com/build/cache/backends/). Pure.
import { BuildError, printable } from '../errors.ts';
import { type Digest, parseDigest } from '../image/digest.ts';
import type { Reference } from '../image/reference.ts';
import {
  type Packing,
  packing,
  reference,
  type S3Storage,
  Spec,
  s3Keys,
  s3Storage,
  tagOf,
} from './storage-spec.ts';

export type CacheSource =
  | S3Storage
  | { readonly kind: 'registry'; readonly ref: Reference }
  | { readonly kind: 'local'; readonly src: string; readonly tag?: string; readonly digest?: Digest };

interface Writing extends Packing {
  /** min: steps of the final image's stage and of those that it is FROM; max: all. Default min. */
  readonly mode: 'min' | 'max';
  /** Layers that came packed otherwise are packed anew. Default false. */
  readonly force: boolean;
  /** What goes wrong is a warning. Default false. */
  readonly ignoreError: boolean;
}

export type CacheTarget =
  | (S3Storage & Writing)
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
/** Of a cache in a bucket. */
const defaultName = 'slipway';

/** @throws BuildError `usage`, `unsupported` */
export function parseCacheSource(text: string): CacheSource {
  const spec = new Spec('--cache-from', text, { nameAlone: true });
  if (spec.type === 'inline') {
    throw spec.wrong(
      'records in an image are found by its name',
      'write --cache-from type=registry,ref=IMAGE',
    );
  }
  switch (spec.known(sourceKeys)) {
    case 'registry':
      return { kind: 'registry', ref: reference(spec, true) };
    case 's3':
      return s3Storage(spec, defaultName);
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
  const spec = new Spec('--cache-to', text, { nameAlone: true });
  switch (spec.known(targetKeys)) {
    case 'registry':
      return { kind: 'registry', ref: reference(spec, false), ...writing(spec) };
    case 's3':
      return { ...s3Storage(spec, defaultName), ...writing(spec) };
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

function writing(spec: Spec): Writing {
  const mode = spec.get('mode') ?? 'min';
  if (mode !== 'min' && mode !== 'max') throw spec.wrong(`mode=${printable(mode)} is neither min nor max`);
  for (const key of ['oci-mediatypes', 'image-manifest']) {
    if (spec.flag(key, true)) continue;
    throw new BuildError('unsupported', `${spec.name}: ${key}=false is not supported`, {
      hint: 'a cache is always an OCI image manifest',
    });
  }
  return {
    mode,
    ...packing(spec),
    force: spec.flag('force-compression', false),
    ignoreError: spec.flag('ignore-error', false),
  };
}
