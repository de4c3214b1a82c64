// What changed in a directory between two moments, found by metadata: every change of a file's content, attributes or
// name count moves its change time (ctime), which no program can set. The result is written in overlay format.
import {
  type BigIntStats,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { temporaryName } from '../host/temp.ts';
import { copyMetadata, type Turns } from './copy-tree.ts';
import { child, makeWhiteout, ownXattrs } from './overlay-format.ts';

/** What is remembered of a path. */
interface Mark {
  readonly isDirectory: boolean;
  /** Without the time of change. */
  readonly state: string;
  /** Time of change; none for a directory, whose entries' changes move it too. */
  readonly changed: bigint;
}

/** Path (latin1, '/' before each component; the root itself is not in it) to its mark. */
export type Marks = ReadonlyMap<string, Mark>;

/** Remembers a tree. Changes made within the file system's clock tick after this are not seen: wait before making any. */
export async function markTree(root: Buffer, turns: Turns): Promise<Marks> {
  const marks = new Map<string, Mark>();
  await markDirectory(root, '', marks, turns);
  return marks;
}

async function markDirectory(
  root: Buffer,
  path: string,
  marks: Map<string, Mark>,
  turns: Turns,
): Promise<void> {
  for (const name of readdirSync(at(root, path), { encoding: 'latin1' })) {
    await turns.next();
    const below = `${path}/${name}`;
    const mark = markOf(at(root, below));
    marks.set(below, mark);
    if (mark.isDirectory) await markDirectory(root, below, marks, turns);
  }
}

function at(root: Buffer, path: string): Buffer {
  return Buffer.concat([root, Buffer.from(path, 'latin1')]);
}

function markOf(path: Buffer): Mark {
  const stat = lstatSync(path, { bigint: true });
  const common = [stat.ino, stat.mode, stat.uid, stat.gid, stat.mtimeNs];
  if (!stat.isDirectory()) {
    return {
      isDirectory: false,
      state: [...common, stat.size, stat.rdev].join(' '),
      changed: stat.ctimeNs,
    };
  }
  const xattrs = [...ownXattrs(path)].map(([name, value]) => `${name}=${value.toString('base64')}`);
  return { isDirectory: true, state: [...common, ...xattrs].join(' '), changed: 0n };
}

/**
 * Moves what changed since `before` out of `root` into `upper`, as an overlay would have collected it.
 * @param root is not to be used afterwards
 * @param moved paths (latin1) that were moved away and back
 */
export async function moveChanges(
  root: Buffer,
  before: Marks,
  upper: Buffer,
  moved: ReadonlySet<string>,
  turns: Turns,
): Promise<void> {
  const directories = new Map<string, BigIntStats>();
  const changed: string[] = [];
  const seen = new Set<string>();
  await findChanges(root, '', before, { directories, changed, seen, moved }, turns);
  cutForeignLinks(
    root,
    changed.filter(path => !directories.has(path)),
  );
  const made = new Set<string>(['']);
  const ensure = (path: string) => {
    if (made.has(path)) return;
    ensure(parentOf(path));
    mkdirSync(at(upper, path));
    made.add(path);
  };
  for (const path of changed) {
    ensure(parentOf(path));
    if (directories.has(path)) ensure(path);
    else renameSync(at(root, path), at(upper, path));
  }
  for (const path of before.keys()) {
    if (seen.has(path) || !directories.has(parentOf(path))) continue;
    ensure(parentOf(path));
    makeWhiteout(at(upper, path));
  }
  // Deepest first, because filling a directory changes its time.
  for (const path of [...made].sort().reverse()) {
    const stat = directories.get(path);
    if (stat !== undefined) copyMetadata(at(root, path), at(upper, path), stat);
  }
}

/**
 * A file with a name outside of the tree becomes one of its own: where nothing is mounted, a step can link what is in a
 * cache mount, and whoever writes to that later would write to the layer.
 */
function cutForeignLinks(root: Buffer, changed: readonly string[]): void {
  const files = new Map<string, { readonly stat: BigIntStats; readonly paths: string[] }>();
  for (const path of changed) {
    const stat = lstatSync(at(root, path), { bigint: true });
    if (!stat.isFile() || stat.nlink === 1n) continue;
    const known = files.get(`${stat.dev}:${stat.ino}`);
    if (known === undefined) files.set(`${stat.dev}:${stat.ino}`, { stat, paths: [path] });
    else known.paths.push(path);
  }
  for (const { stat, paths } of files.values()) {
    if (stat.nlink === BigInt(paths.length)) continue;
    const [first, ...others] = paths.map(path => at(root, path));
    if (first === undefined) continue;
    const own = at(root, `/${temporaryName('own-')}`);
    copyFileSync(first, own, constants.COPYFILE_FICLONE);
    copyMetadata(first, own, stat);
    renameSync(own, first);
    for (const other of others) {
      unlinkSync(other);
      linkSync(first, other);
    }
  }
}

interface Findings {
  /** Directories as they were when they were found: moving things out changes their time. */
  readonly directories: Map<string, BigIntStats>;
  readonly changed: string[];
  readonly seen: Set<string>;
  /** Paths whose time of change says nothing. */
  readonly moved: ReadonlySet<string>;
}

async function findChanges(
  root: Buffer,
  path: string,
  before: Marks,
  findings: Findings,
  turns: Turns,
): Promise<void> {
  findings.directories.set(path, lstatSync(at(root, path), { bigint: true }));
  for (const name of readdirSync(at(root, path), { encoding: 'latin1' })) {
    await turns.next();
    const below = `${path}/${name}`;
    const mark = markOf(child(at(root, path), Buffer.from(name, 'latin1')));
    findings.seen.add(below);
    const old = before.get(below);
    const isSame = old?.state === mark.state && (old.changed === mark.changed || findings.moved.has(below));
    if (!isSame) findings.changed.push(below);
    // A directory that took the place of something else is new with everything in it; names that are gone are whiteouts.
    if (mark.isDirectory) await findChanges(root, below, before, findings, turns);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
