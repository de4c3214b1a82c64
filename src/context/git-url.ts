// Which texts name a git repository, and what they say about it, as docker build reads them
// (https://docs.docker.com/build/concepts/context/#git-repositories). Everything that later becomes an argument of git
// is checked here against a grammar of what it may be. Pure.
import { BuildError, printable } from '../errors.ts';

export interface GitSource {
  /** For `git fetch`: a URL, or user@host:path. */
  readonly remote: string;
  /** A branch, a tag, a full ref (`refs/...`) or a whole commit id; absent: the default branch. */
  readonly ref?: string;
  readonly refKind?: 'branch' | 'tag';
  /** Clean, relative. */
  readonly subdir?: string;
  /** What the commit's (or tag's) id must begin with. */
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  /** Default true. */
  readonly submodules?: boolean;
  /** commit: every file has the commit's time. Default checkout. */
  readonly mtime?: 'checkout' | 'commit';
  /** The commit of `checksum` is asked for, not `ref`. */
  readonly fetchByCommit?: boolean;
}

const scpStyle = /^[A-Za-z0-9_][\w.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!\/\/)/;

/**
 * @returns undefined when the text names no git repository
 * @throws BuildError `context` when it does and says something that cannot be, `hostile` for parts made to mislead git
 */
export function parseGitUrl(text: string): GitSource | undefined {
  const expanded = text.startsWith('github.com/') ? `https://${text}` : text;
  const hash = expanded.indexOf('#');
  const fragment = hash < 0 ? undefined : expanded.slice(hash + 1);
  const whole = hash < 0 ? expanded : expanded.slice(0, hash);
  const mark = whole.indexOf('?');
  const address = mark < 0 ? whole : whole.slice(0, mark);
  const query = mark < 0 ? undefined : whole.slice(mark + 1);
  if (!isRepository(address, text.startsWith('github.com/'))) return undefined;
  checkAddress(address);
  if (query !== undefined && fragment !== undefined && fragment !== '') {
    throw new BuildError(
      'context',
      `${printable(address)}: give ref and directory after # or after ?, not both`,
    );
  }
  const said = query === undefined ? fromFragment(fragment ?? '') : fromQuery(query);
  return check({ remote: address, ...said });
}

function isRepository(address: string, isShorthand: boolean): boolean {
  if (/^(?:git|ssh):\/\//.test(address) || isShorthand) return true;
  if (/^https?:\/\//.test(address)) return /\.git\/?$/.test(address);
  return scpStyle.test(address);
}

/** A host that looks like an option, or a line break that reaches a credential helper, would be somebody's command. */
function checkAddress(address: string): void {
  let decoded = address;
  try {
    decoded = decodeURIComponent(address);
  } catch {
    // A lone % is no encoding; the text is checked as it is.
  }
  if (!/[\u0000-\u0020\u007f]/.test(decoded) && !looksLikeOption(address)) return;
  throw new BuildError('hostile', `${printable(address)} is no address that git may be given`);
}

function looksLikeOption(address: string): boolean {
  if (scpStyle.test(address)) return address.slice(address.indexOf(':') + 1).startsWith('-');
  if (!URL.canParse(address)) return true;
  const { hostname, username } = new URL(address);
  return hostname === '' || hostname.startsWith('-') || username.startsWith('-');
}

function fromFragment(fragment: string): Omit<GitSource, 'remote'> {
  const colon = fragment.indexOf(':');
  const ref = colon < 0 ? fragment : fragment.slice(0, colon);
  const subdir = colon < 0 ? '' : fragment.slice(colon + 1);
  return { ...(ref === '' ? {} : { ref }), ...(subdir === '' ? {} : { subdir }) };
}

const keys = new Set([
  'ref',
  'tag',
  'branch',
  'subdir',
  'checksum',
  'commit',
  'keep-git-dir',
  'submodules',
  'mtime',
  'fetch-by-commit',
]);

function fromQuery(query: string): Omit<GitSource, 'remote'> {
  const values = new Map<string, string>();
  for (const [key, value] of new URLSearchParams(query)) {
    if (!keys.has(key)) throw contradiction(`the query of a git URL has no ${printable(key)}`);
    if (values.has(key)) throw contradiction(`${key} is given twice`);
    values.set(key, value);
  }
  return {
    ...refOf(values),
    ...checksumOf(values),
    ...textOf(values, 'subdir', 'subdir'),
    ...flagOf(values, 'keep-git-dir', 'keepGitDir'),
    ...flagOf(values, 'submodules', 'submodules'),
    ...flagOf(values, 'fetch-by-commit', 'fetchByCommit'),
    ...mtimeOf(values.get('mtime')),
  };
}

function contradiction(message: string): BuildError {
  return new BuildError('context', `bad git URL: ${message}`);
}

function refOf(values: ReadonlyMap<string, string>): Pick<GitSource, 'ref' | 'refKind'> {
  const given = ['ref', 'tag', 'branch'].filter(key => (values.get(key) ?? '') !== '');
  if (given.length > 1) throw contradiction(`${given.join(' and ')} exclude each other`);
  const key = given[0];
  if (key === undefined) return {};
  const ref = values.get(key) ?? '';
  return key === 'ref' ? { ref } : { ref, refKind: key === 'tag' ? 'tag' : 'branch' };
}

function checksumOf(values: ReadonlyMap<string, string>): Pick<GitSource, 'checksum'> {
  const checksum = values.get('checksum') ?? values.get('commit');
  if (values.has('checksum') && values.has('commit') && values.get('commit') !== checksum) {
    throw contradiction('checksum and commit differ');
  }
  return checksum === undefined || checksum === '' ? {} : { checksum };
}

function textOf<K extends string>(
  values: ReadonlyMap<string, string>,
  key: string,
  name: K,
): { [P in K]?: string } {
  const value = values.get(key) ?? '';
  return value === '' ? {} : ({ [name]: value } as { [P in K]: string });
}

function flagOf<K extends string>(
  values: ReadonlyMap<string, string>,
  key: string,
  name: K,
): { [P in K]?: boolean } {
  const value = values.get(key);
  if (value === undefined) return {};
  const flag = /^(?:|1|t|true)$/i.test(value) ? true : /^(?:0|f|false)$/i.test(value) ? false : undefined;
  if (flag === undefined) throw contradiction(`${key} is true or false, not ${printable(value)}`);
  return { [name]: flag } as { [P in K]: boolean };
}

function mtimeOf(value: string | undefined): Pick<GitSource, 'mtime'> {
  if (value === undefined || value === '') return {};
  if (value !== 'checkout' && value !== 'commit')
    throw contradiction(`mtime is checkout or commit, not ${printable(value)}`);
  return { mtime: value };
}

function check(source: GitSource): GitSource {
  const { ref, subdir, checksum } = source;
  if (ref !== undefined && !isRefName(ref)) {
    throw new BuildError(
      'hostile',
      `${printable(JSON.stringify(ref))} cannot be the name of a branch, tag or commit`,
    );
  }
  if (checksum !== undefined && !/^[0-9a-f]{7,64}$/.test(checksum)) {
    throw contradiction(
      `a checksum is at least 7 hexadecimal digits of a commit, not ${printable(checksum)}`,
    );
  }
  if (source.fetchByCommit && !isCommitId(checksum ?? ''))
    throw contradiction('fetch-by-commit needs a whole commit as checksum');
  if (subdir === undefined) return source;
  const parts = subdir.split('/').filter(part => part !== '' && part !== '.');
  if (parts.includes('..') || subdir.includes('\0')) {
    throw new BuildError('hostile', `the directory ${printable(subdir)} leads out of the repository`);
  }
  const { subdir: _, ...rest } = source;
  return parts.length === 0 ? rest : { ...rest, subdir: parts.join('/') };
}

/** git check-ref-format(1), and nothing that git would read as an option or a range of commits. */
export function isRefName(ref: string): boolean {
  if (!/^[\p{L}\p{N}_@][\p{L}\p{N}_@./+=,%#&!()-]*$/u.test(ref) || ref.length > 1024) return false;
  if (/\.\.|@\{|\/\/|\/\.|\.\/|\.$|\/$|^@$/.test(ref)) return false;
  return ref.split('/').every(part => !part.endsWith('.lock'));
}

export function isCommitId(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}
