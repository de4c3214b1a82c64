// Whom a step runs as and who owns what COPY --chown writes: names are looked up in the image's own /etc/passwd and
// /etc/group, in the manner of BuildKit. Digits are always an id and never a name. Pure but for `readFile`.
import { BuildError, printable } from '../errors.ts';

/** Reads a file of the image, symlinks resolved within it; undefined when there is no regular file of that path. */
export type ReadImageFile = (path: '/etc/passwd' | '/etc/group') => Buffer | undefined;

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, without `gid`, in the order of /etc/group. */
  readonly groups: readonly number[];
  /** Home directory as passwd has it; '/' for an id that passwd does not have. */
  readonly home: string;
  /** Name as passwd has it; undefined for an id that passwd does not have. */
  readonly name: string | undefined;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const MOST_BYTES = 10 << 20;
/** 2^32 - 1 means "no id" to the kernel. */
const LARGEST_ID = 0xffff_fffe;

/**
 * The process identity for `USER`: `name`, `uid`, `name:group`, `uid:gid` or any mix; '' is root. A user without a group
 * gets the group of its passwd entry and its memberships; a group given takes the place of both. An id that passwd does
 * not know gets group 0.
 * @throws BuildError `not-found` for a name that is not there, `hostile` for a file that is too large,
 *   `dockerfile` for an id out of range
 */
export function resolveUser(user: string, readFile: ReadImageFile): ResolvedUser {
  const [who, group] = split(user === '' ? '0' : user);
  const id = parseId(who);
  const entry = passwd(readFile).find(line =>
    id === undefined ? line.name === bytes(who) : line.uid === id,
  );
  if (entry === undefined && id === undefined) throw unknown('user', who, '/etc/passwd');
  const uid = entry?.uid ?? id ?? 0;
  const common = {
    uid,
    home: text(entry?.home) || '/',
    name: entry === undefined ? undefined : text(entry.name),
  };
  if (group !== undefined) return { ...common, gid: resolveGroup(group, readFile), groups: [] };
  const gid = entry?.gid ?? 0;
  const memberships =
    entry === undefined ? [] : groups(readFile).filter(line => line.members.includes(entry.name));
  const ids = memberships.map(line => line.gid).filter(each => each !== gid);
  return { ...common, gid, groups: [...new Set(ids)] };
}

/**
 * The owner that `--chown` means: as {@link resolveUser}, but a number alone is both user and group, ids are not
 * looked up at all, and an empty group after a colon is root's.
 * @throws BuildError as resolveUser
 */
export function resolveOwner(chown: string, readFile: ReadImageFile): Owner {
  const [who, group] = split(chown);
  const uid = parseId(who);
  if (chown.endsWith(':')) return { ...resolveOwner(who, readFile), gid: 0 };
  if (uid !== undefined) return { uid, gid: group === undefined ? uid : resolveGroup(group, readFile) };
  const entry = passwd(readFile).find(line => line.name === bytes(who));
  if (entry === undefined) throw unknown('user', who, '/etc/passwd');
  return { uid: entry.uid, gid: group === undefined ? entry.gid : resolveGroup(group, readFile) };
}

function resolveGroup(group: string, readFile: ReadImageFile): number {
  const id = parseId(group);
  if (id !== undefined) return id;
  const entry = groups(readFile).find(line => line.name === bytes(group));
  if (entry === undefined) throw unknown('group', group, '/etc/group');
  return entry.gid;
}

function split(user: string): readonly [string, string | undefined] {
  const colon = user.indexOf(':');
  if (colon < 0) return [user, undefined];
  const group = user.slice(colon + 1);
  return [user.slice(0, colon) || '0', group === '' ? undefined : group];
}

/** @returns undefined for what is not all digits */
function parseId(word: string): number | undefined {
  if (/^[+-]\d+$/.test(word)) throw outOfRange(word);
  if (!/^\d+$/.test(word)) return undefined;
  const id = Number(word);
  if (id > LARGEST_ID) throw outOfRange(word);
  return id;
}

function outOfRange(word: string): BuildError {
  const shown = printable(word.slice(0, 40));
  return new BuildError('dockerfile', `${shown} is no user or group id`, {
    hint: `ids are 0 to ${LARGEST_ID}`,
  });
}

function unknown(what: 'user' | 'group', name: string, file: string): BuildError {
  return new BuildError('not-found', `the ${what} ${printable(name)} is not in ${file} of the image`, {
    hint: `create it in an earlier RUN, or use a number`,
  });
}

interface PasswdLine extends Owner {
  readonly name: string;
  readonly home: string;
}

interface GroupLine {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

function passwd(readFile: ReadImageFile): readonly PasswdLine[] {
  return lines(readFile, '/etc/passwd').flatMap(line => {
    const [name = '', , uid = '', gid = '', , home = ''] = line.split(':');
    const ids = { uid: fileId(uid), gid: fileId(gid) };
    if (name === '' || ids.uid === undefined || ids.gid === undefined) return [];
    return [{ name, uid: ids.uid, gid: ids.gid, home }];
  });
}

function groups(readFile: ReadImageFile): readonly GroupLine[] {
  return lines(readFile, '/etc/group').flatMap(line => {
    const [name = '', , id = '', members = ''] = line.split(':');
    const gid = fileId(id);
    if (name === '' || gid === undefined) return [];
    return [{ name, gid, members: members.split(',').filter(Boolean) }];
  });
}

/** A line whose id is no number, or none that exists, counts as not there: it must not turn into 0. */
function fileId(word: string): number | undefined {
  return /^\d{1,10}$/.test(word) && Number(word) <= LARGEST_ID ? Number(word) : undefined;
}

function lines(readFile: ReadImageFile, path: '/etc/passwd' | '/etc/group'): readonly string[] {
  const content = readFile(path);
  if (content === undefined) return [];
  if (content.length > MOST_BYTES) {
    throw new BuildError(
      'hostile',
      `${path} of the image is too large (${content.length} > ${MOST_BYTES} bytes)`,
    );
  }
  return content
    .toString('latin1')
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '' && !line.startsWith('#'));
}

/** Names are compared byte by byte. */
function bytes(word: string): string {
  return Buffer.from(word).toString('latin1');
}

function text(word: string | undefined): string {
  return Buffer.from(word ?? '', 'latin1').toString();
}
