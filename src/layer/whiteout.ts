// Whiteouts (OCI image-spec, layer.md#whiteouts): how a layer says that something of the layers below is gone. In a tar
// they are empty files with telling names; in a LayerIndex they are entries of type `whiteout` and the flag `opaque`.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, showPath } from '../tree/entry.ts';

const prefix = '.wh.';
const opaqueName = '.wh..wh..opq';
/** What aufs kept for itself (`.wh..wh.plnk`, ...): docker and containerd skip it when they unpack. */
const privatePrefix = '.wh..wh.';

/** What the name of a tar entry means. */
export type Marker =
  /** `path` of the layers below is gone. */
  | { readonly kind: 'whiteout'; readonly path: BytePath }
  /** Everything that the layers below have in the directory `path` is gone. */
  | { readonly kind: 'opaque'; readonly path: BytePath }
  /** Bookkeeping of an old storage driver, to be skipped. */
  | { readonly kind: 'private' };

/**
 * @returns undefined for an ordinary name
 * @throws BuildError `hostile` for a marker that names nothing, `.` or `..`, or one that is used as a directory
 */
export function readMarker(path: BytePath): Marker | undefined {
  if (!path.includes(prefix)) return undefined;
  const slash = path.lastIndexOf('/');
  const parent = slash < 0 ? '' : path.slice(0, slash);
  const name = path.slice(slash + 1);
  if (parent.split('/').some(component => component.startsWith(prefix) && !isPrivate(component))) {
    throw malformed(path, 'a whiteout is used as a directory');
  }
  if (parent.split('/').some(isPrivate)) return { kind: 'private' };
  if (!name.startsWith(prefix)) return undefined;
  if (name === opaqueName) return { kind: 'opaque', path: parent as BytePath };
  if (isPrivate(name)) return { kind: 'private' };
  const hidden = name.slice(prefix.length);
  if (hidden === '' || hidden === '.' || hidden === '..') {
    throw malformed(path, 'a whiteout must name a file beside it');
  }
  return { kind: 'whiteout', path: joinPath(parent, hidden) };
}

function isPrivate(component: string): boolean {
  return component.startsWith(privatePrefix);
}

function malformed(path: string, why: string): BuildError {
  const shown = printable(showPath(path));
  return new BuildError('hostile', `the layer has a malformed whiteout "${shown}": ${why}`, {
    facts: { path: shown },
  });
}

/** The name in a tar that says that `path` is gone: `a/.wh.b` for `a/b`. */
export function whiteoutPath(path: BytePath): BytePath {
  const slash = path.lastIndexOf('/') + 1;
  return `${path.slice(0, slash)}${prefix}${path.slice(slash)}` as BytePath;
}

/** The name in a tar that makes the directory `path` opaque. */
export function opaquePath(path: BytePath): BytePath {
  return joinPath(path, opaqueName);
}

/**
 * A file that is really called so cannot be told from a whiteout once it is in a layer.
 * @throws BuildError `context` when a component of `path` begins with `.wh.`
 */
export function refuseMarkerName(path: BytePath): void {
  if (!path.includes(prefix)) return;
  if (!path.split('/').some(component => component.startsWith(prefix))) return;
  throw new BuildError(
    'context',
    `"${printable(showPath(path))}" cannot be put into an image: names that begin with .wh. mean deleted files there`,
    {
      hint: 'rename it, or leave it out with .dockerignore or --exclude',
      facts: { path: printable(showPath(path)) },
    },
  );
}

/** `name` in the directory `parent`, where '' is the root. */
export function joinPath(parent: string, name: string): BytePath {
  return (parent === '' ? name : `${parent}/${name}`) as BytePath;
}
