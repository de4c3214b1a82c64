// Names in USER and --chown, looked up in the image's own passwd and group through a view: nothing is mounted, links
// stay within the image, and only ordinary files of sensible size are read (CVE-2024-9676 and kin).
import { closeSync, openSync, readSync } from 'node:fs';
import { BuildError } from '../../errors.ts';
import type { View } from '../../layer/layers.ts';
import { type ImageUser, resolveUser } from '../../sandbox/users.ts';
import { bytePath, type ContentSource } from '../../tree/entry.ts';
import { readInTree } from '../../tree/resolve.ts';

const maxBytes = 10 * 1024 * 1024;

/** Reads a file of the image by absolute path; undefined when it is not there. */
export type ReadImageFile = (path: string) => Buffer | undefined;

export function imageFiles(view: View): ReadImageFile {
  return path => {
    const place = view.resolve(bytePath(path.replace(/^\/+/, '')));
    const entry = place === undefined ? undefined : view.lookup(place);
    if (!entry) return undefined;
    if (entry.type !== 'file' && entry.type !== 'hardlink') {
      throw new BuildError('hostile', `${path} of the image is a ${entry.type}, not an ordinary file`);
    }
    if (entry.size > maxBytes) {
      throw new BuildError(
        'hostile',
        `${path} of the image has ${entry.size} bytes; more than ${maxBytes} are not read`,
      );
    }
    return readContent(view.content(entry));
  };
}

/** The user that `text` (USER or --chown) names; '' is root. @throws BuildError `dockerfile` when there is none */
export function userOf(text: string, files: ReadImageFile): ImageUser {
  return resolveUser(text, files);
}

function readContent(source: ContentSource): Buffer {
  switch (source.kind) {
    case 'bytes':
      return Buffer.from(source.bytes);
    case 'in-tree':
      return readInTree(source.root, source.path);
    case 'range': {
      const buffer = Buffer.alloc(source.size);
      const fd = openSync(source.file, 'r');
      try {
        let done = 0;
        while (done < source.size) {
          const got = readSync(fd, buffer, done, source.size - done, source.offset + done);
          if (got === 0) throw new BuildError('store', `${source.file} is shorter than it was`);
          done += got;
        }
      } finally {
        closeSync(fd);
      }
      return buffer;
    }
  }
}
