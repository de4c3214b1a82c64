// Whiteouts (OCI image-spec, layer.md#whiteouts): how a layer says that something of the layers below is gone. In a tar
// they are empty files with telling names (archive/marker.ts reads them); in a LayerIndex they are entries of type `whiteout` and the flag `opaque`.
import { BuildError, printable } from '../errors.ts';
import { type BytePath, showPath } from '../tree/entry.ts';

const prefix = '.wh.';
const opaqueName = '.wh..wh..opq';
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
