// References to images in files: `oci-layout://path[:tag][@digest]`, `oci:path[:tag]`, `oci-archive:path[:name]`,
// `docker-archive:path[:name]`. The same grammar for FROM and for image commands.
import { statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { BuildError, printable } from '../errors.ts';
import { temporaryName } from '../host/temp.ts';
import type { Store } from '../store/store.ts';
import { type Container, directoryContainer, tarContainer } from './container.ts';
import type { LoadedImage } from './image-file.ts';

export interface FileReference {
  readonly kind: 'directory' | 'archive';
  /** Of an archive that is written: with or without what `docker load` needs. */
  readonly format: 'docker' | 'oci';
  /** Absolute. */
  readonly path: string;
  /** A name, tag or digest after the path, choosing one of several images. */
  readonly select?: string;
}

const schemes: Readonly<Record<string, Pick<FileReference, 'kind' | 'format'>>> = {
  'oci-layout://': { kind: 'directory', format: 'oci' },
  'oci:': { kind: 'directory', format: 'oci' },
  'oci-archive:': { kind: 'archive', format: 'oci' },
  'docker-archive:': { kind: 'archive', format: 'docker' },
};

/** @returns undefined for a text that names no file @throws BuildError `usage` when the path is missing */
export function parseFileReference(text: string, cwd: string): FileReference | undefined {
  const scheme = Object.keys(schemes).find(prefix => text.startsWith(prefix));
  const kind = scheme && schemes[scheme];
  if (!scheme || !kind) return undefined;
  const rest = text.slice(scheme.length);
  const digest = /@(sha\d+:[0-9a-f]+)$/.exec(rest);
  const bare = digest ? rest.slice(0, digest.index) : rest;
  const colon = bare.indexOf(':');
  const path = colon < 0 ? bare : bare.slice(0, colon);
  if (path === '')
    throw new BuildError('usage', `"${printable(text)}" names no file`, { hint: `write ${scheme}PATH` });
  const select = digest?.[1] ?? (colon < 0 ? undefined : bare.slice(colon + 1));
  return { ...kind, path: isAbsolute(path) ? path : resolve(cwd, path), ...(select ? { select } : {}) };
}

/**
 * The file, to be read and disposed of; a compressed archive is unpacked into the store's temporary directory first.
 * @param file `shown` is what messages call it, default its path
 */
export async function openImageFile(
  file: Pick<FileReference, 'kind' | 'path'> & { readonly shown?: string },
  store: Store,
  signal: AbortSignal,
): Promise<Container> {
  if (file.kind === 'directory') {
    if (!statSync(file.path, { throwIfNoEntry: false })?.isDirectory())
      throw new BuildError('not-found', `there is no directory ${printable(file.path)}`);
    return directoryContainer(file.path);
  }
  return tarContainer(file.path, join(store.tmp, temporaryName('unpacked-')), signal, file.shown);
}

/** The one image that is meant. @throws BuildError `not-found` when there is none, or when it could be several */
export function chooseImage(images: readonly LoadedImage[], file: FileReference): LoadedImage {
  const { select } = file;
  const matching = select
    ? images.filter(
        image =>
          image.descriptor.digest === select ||
          image.names.some(
            name => name === select || name.endsWith(`:${select}`) || name.endsWith(`/${select}`),
          ),
      )
    : images;
  const [match] = matching;
  // One image under several names is one.
  if (match && (select || matching.every(other => other.descriptor.digest === match.descriptor.digest)))
    return match;
  const names = images.flatMap(image => image.names);
  throw new BuildError(
    'not-found',
    select
      ? `${printable(file.path)} has no image "${printable(select)}"`
      : `${printable(file.path)} holds ${images.length} images`,
    {
      hint:
        names.length > 0
          ? `it has ${names.map(printable).join(', ')}`
          : 'name one by its digest: PATH@sha256:...',
    },
  );
}
