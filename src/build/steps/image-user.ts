// Names in USER and --chown, looked up in the image's own passwd and group through a view: nothing is mounted, links
// stay within the image, and only ordinary files of sensible size are read (CVE-2024-9676 and kin).
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, errnoOf } from '../../errors.ts';
import type { View } from '../../layer/layers.ts';
import { type ResolvedUser, resolveUser } from '../../sandbox/users.ts';
import { bytePath, type ContentSource } from '../../tree/entry.ts';
import { openFileInTree, openInRoot, openRoot } from '../../tree/resolve.ts';

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
export function userOf(text: string, files: ReadImageFile): ResolvedUser {
  return resolveUser(text, files);
}

function readContent(source: ContentSource): Buffer {
  switch (source.kind) {
    case 'bytes':
      return Buffer.from(source.bytes);
    case 'in-tree': {
      const file = openFileInTree(source.root, source.path);
      try {
        return readAll(file.fd, file.size, 0);
      } finally {
        file.close();
      }
    }
    case 'range': {
      const fd = openSync(source.file, 'r');
      try {
        return readAll(fd, source.size, source.offset);
      } finally {
        closeSync(fd);
      }
    }
  }
}

/** The same of a mounted root file system: links stay within it, a fifo is not waited for. */
export function filesBelow(root: string): ReadImageFile {
  return path => {
    const rootFd = openRoot(root);
    try {
      const fd = openInRoot(rootFd, path, constants.O_RDONLY | constants.O_NONBLOCK);
      try {
        const stat = fstatSync(fd);
        if (!stat.isFile()) throw new BuildError('hostile', `${path} of the image is not an ordinary file`);
        refuseLarge(path, stat.size);
        return readAll(fd, stat.size, 0);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
      throw error;
    } finally {
      closeSync(rootFd);
    }
  };
}

function refuseLarge(path: string, size: number): void {
  if (size <= maxBytes) return;
  throw new BuildError(
    'hostile',
    `${path} of the image has ${size} bytes; more than ${maxBytes} are not read`,
  );
}

function readAll(fd: number, size: number, offset: number): Buffer {
  const buffer = Buffer.alloc(size);
  for (let done = 0; done < size; ) {
    const got = readSync(fd, buffer, done, size - done, offset + done);
    if (got === 0) throw new BuildError('integrity', 'a file became shorter while it was read');
    done += got;
  }
  return buffer;
}
