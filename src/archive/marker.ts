// Whiteouts in a tar (OCI image-spec, layer.md#whiteouts): empty files with telling names.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, showPath } from '../tree/entry.ts';

const prefix = '.wh.';
const opaqueName = '.wh..wh..opq';
/** What aufs kept for itself (`.wh..wh.plnk`, ...): Docker and containerd skip it when they unpack. */
const privatePrefix = '.wh..wh.';

export type TarMarker =
  /** `name` in the directory `parent` of the layers below is gone. */
  | { readonly kind: 'whiteout'; readonly parent: BytePath; readonly name: string }
  /** Everything that the layers below have in the directory `parent` is gone. */
  | { readonly kind: 'opaque'; readonly parent: BytePath }
  | { readonly kind: 'private' };

/**
 * @returns undefined for an ordinary name
 * @throws BuildError `hostile` for a marker that names nothing, `.` or `..`, or that is used as a directory
 */
export function tarMarker(path: BytePath): TarMarker | undefined {
  if (!path.includes(prefix)) return undefined;
  const components = path.split('/');
  const name = components.pop() ?? '';
  if (components.some(component => component.startsWith(privatePrefix))) return { kind: 'private' };
  if (components.some(component => component.startsWith(prefix))) {
    throw malformed(path, 'it is used as a directory');
  }
  if (!name.startsWith(prefix)) return undefined;
  const parent = components.join('/') as BytePath;
  if (name === opaqueName) return { kind: 'opaque', parent };
  if (name.startsWith(privatePrefix)) return { kind: 'private' };
  const hidden = name.slice(prefix.length);
  if (hidden === '' || hidden === '.' || hidden === '..') throw malformed(path, 'it names nothing beside it');
  return { kind: 'whiteout', parent, name: hidden };
}

function malformed(path: string, why: string): BuildError {
  const shown = printable(showPath(path));
  return new BuildError('hostile', `the archive has a malformed whiteout '${shown}': ${why}`, {
    facts: { path: shown },
  });
}
