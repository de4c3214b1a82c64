// A directory tree as text, one line for each entry: what two trees must have in common to count as the same.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readXattrs } from '../../src/host/xattr.ts';

export interface ShowOptions {
  /** Leave modification times of directories out. */
  readonly withoutDirectoryTimes?: boolean;
}

/** Lines sorted by path: type, mode, owner, time, attributes and content; hard links name the first of them. */
export function showTree(root: string, options: ShowOptions = {}): readonly string[] {
  const lines: string[] = [];
  const inodes = new Map<string, string>();
  const show = (path: string) => {
    const at = Buffer.from(root + path, 'latin1');
    const stat = lstatSync(at, { bigint: true });
    const facts = [path || '/', stat.mode.toString(8), `${stat.uid}:${stat.gid}`];
    if (!(stat.isDirectory() && options.withoutDirectoryTimes)) facts.push(String(stat.mtimeNs));
    for (const [name, value] of readXattrs(at)) {
      if (!name.includes('.overlay.')) facts.push(`${name}=${value.toString('hex')}`);
    }
    const inode = `${stat.dev}:${stat.ino}`;
    if (stat.isFile()) facts.push(JSON.stringify(readFileSync(at, 'latin1').slice(0, 100)));
    if (stat.isSymbolicLink()) facts.push(`-> ${readlinkSync(at, 'latin1')}`);
    if (stat.isCharacterDevice() || stat.isBlockDevice()) facts.push(`device ${stat.rdev}`);
    if (!stat.isDirectory() && stat.nlink > 1n) facts.push(`same as ${inodes.get(inode) ?? 'none before'}`);
    if (!inodes.has(inode)) inodes.set(inode, path);
    lines.push(facts.join(' '));
    if (!stat.isDirectory()) return;
    for (const name of readdirSync(at, 'latin1').sort()) show(`${path}/${name}`);
  };
  show('');
  return lines;
}
