// `--cache-mount-from` and `--cache-mount-to`: text -> where cache mounts come from and go to (docs/cache-mounts.md).
import { resolve } from 'node:path';
import type { MountSource, MountTarget, PlaceSpec } from '../../build/cache-mounts/place.ts';
import { BuildError, printable } from '../../errors.ts';
import { parseReference, withDefaultTag } from '../../image/reference.ts';
import { Spec } from './spec.ts';

const keysOf = {
  registry: { from: ['ref'], to: ['ref'] },
  local: { from: ['src', 'tag'], to: ['dest', 'tag'] },
} as const;
const common = { from: ['overwrite'], to: ['compression', 'compression-level', 'ignore-error'] } as const;
const defaultTag = 'cache-mounts';

/** @throws BuildError `usage` */
export function parseMountSource(text: string, cwd: string): MountSource {
  const spec = new Spec('--cache-mount-from', text);
  const place = placeOf(spec, 'from', cwd);
  return { ...idsOf(spec), place, overwrite: spec.flag('overwrite') };
}

/** @throws BuildError `usage` */
export function parseMountTarget(text: string, cwd: string): MountTarget {
  const spec = new Spec('--cache-mount-to', text);
  const place = placeOf(spec, 'to', cwd);
  const compression = spec.compression() ?? 'gzip';
  const level = spec.level(compression);
  return {
    ...idsOf(spec),
    place,
    compression,
    ...(level === undefined ? {} : { level }),
    ignoreError: spec.flag('ignore-error'),
  };
}

function placeOf(spec: Spec, direction: 'from' | 'to', cwd: string): PlaceSpec {
  const type = spec.needed('type', 'registry or type=local');
  if (type !== 'registry' && type !== 'local') {
    throw spec.wrong(`there is no type "${printable(type)}"`, 'the types are registry and local');
  }
  spec.refuseOthers(['type', 'id', ...keysOf[type][direction], ...common[direction]]);
  if (type === 'registry') return { type, ref: tagged(spec.needed('ref', 'HOST/NAME:TAG')) };
  const dir = resolve(cwd, spec.needed(direction === 'from' ? 'src' : 'dest', 'DIRECTORY'));
  return { type, dir, tag: spec.one('tag') ?? defaultTag };
}

function tagged(text: string) {
  const reference = parseReference(text);
  if (reference.digest === undefined) return withDefaultTag(reference);
  throw new BuildError('usage', `cache mounts stand under a tag, and ${printable(text)} names a digest`);
}

function idsOf(spec: Spec): { readonly ids?: readonly string[] } {
  const ids = spec.all('id');
  if (ids.includes('')) throw spec.wrong('id has no usable value');
  return ids.length === 0 ? {} : { ids };
}
