// `--cache-mount-from` and `--cache-mount-to`: text -> where cache mounts come from and go to (docs/cache-mounts.md).
import { resolve } from 'node:path';
import type { MountPlace, MountSource, MountTarget } from '../../build/cache-mounts/place.ts';
import { packing, reference, Spec, s3Keys, s3Storage, tagOf } from '../../build/storage-spec.ts';

const fromKeys = ['id', 'overwrite'];
const sourceKeys = {
  registry: ['ref', ...fromKeys],
  local: ['src', 'tag', ...fromKeys],
  s3: [...s3Keys, ...fromKeys],
};
const toKeys = ['id', 'compression', 'compression-level', 'ignore-error'];
const targetKeys = {
  registry: ['ref', ...toKeys],
  local: ['dest', 'tag', ...toKeys],
  s3: [...s3Keys, ...toKeys],
};
/** Apart from the name that remote caches have where none is given. */
const defaultName = 'cache-mounts';

/** @throws BuildError `usage` */
export function parseMountSource(text: string, cwd: string): MountSource {
  const spec = new Spec('--cache-mount-from', text, { repeated: ['id'] });
  const type = spec.known(sourceKeys);
  return { ...idsOf(spec), place: placeOf(spec, type, 'src', cwd), overwrite: spec.flag('overwrite', false) };
}

/** @throws BuildError `usage` */
export function parseMountTarget(text: string, cwd: string): MountTarget {
  const spec = new Spec('--cache-mount-to', text, { repeated: ['id'] });
  const type = spec.known(targetKeys);
  const place = placeOf(spec, type, 'dest', cwd);
  return { ...idsOf(spec), place, ...packing(spec), ignoreError: spec.flag('ignore-error', false) };
}

function placeOf(spec: Spec, type: string, directory: 'src' | 'dest', cwd: string): MountPlace {
  if (type === 'registry') return { kind: type, ref: reference(spec, false) };
  if (type === 's3') return s3Storage(spec, defaultName);
  const src = resolve(cwd, spec.need(directory, 'DIRECTORY'));
  return { kind: 'local', src, tag: defaultName, ...tagOf(spec), tidy: true };
}

function idsOf(spec: Spec): { readonly ids?: readonly string[] } {
  const ids = spec.all('id');
  if (ids.includes('')) throw spec.wrong('id has no usable value');
  return ids.length === 0 ? {} : { ids };
}
