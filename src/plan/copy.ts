// COPY and ADD: sources, destination and flags, expanded and checked. Nothing is looked at on disk here.
// https://docs.docker.com/reference/dockerfile/#copy, https://docs.docker.com/reference/dockerfile/#add

import type { CopyInstruction, Heredoc, Text } from '../dockerfile/instructions.ts';
import { expandHeredoc, expandPattern } from '../dockerfile/words.ts';
import { printable, withoutPasswords } from '../errors.ts';
import { at, invalid } from './problems.ts';
import { resolveUse } from './sources.ts';
import { expandText, joinPath, type StageContext, type StageState, workdirOf } from './state.ts';
import type { CopyItem, CopyStep } from './steps.ts';

/** What is special about a COPY or ADD step. */
export type CopyPart = Omit<CopyStep, 'id' | 'stage' | 'range' | 'display' | 'config'>;

/** @throws BuildError `dockerfile` */
export function planCopy(line: CopyInstruction, state: StageState, context: StageContext): CopyPart {
  const expand = (text: Text) => expandText(text, state, context);
  const optional = (text: Text | undefined) => (text === undefined ? undefined : expand(text) || undefined);
  const items = planItems(line, state, context);
  const written = expand(line.dest);
  const chown = optional(line.chown);
  const chmod = optional(line.chmod);
  if (chmod !== undefined) checkMode(chmod, line.chmod ?? line.dest);
  const checksum = optional(line.checksum);
  if (checksum !== undefined) checkChecksum(checksum, line, items);
  const [use] = line.from?.raw ? [{ from: line.from.raw, allowsIndex: true, range: line.from.range }] : [];
  return {
    kind: 'copy',
    instruction: line.kind === 'add' ? 'ADD' : 'COPY',
    from: use === undefined ? { kind: 'context' } : resolveUse(use, context.sources).origin,
    items,
    dest: destination(written, workdirOf(state)),
    ...(chown === undefined ? {} : { chown }),
    ...(chmod === undefined ? {} : { chmod }),
    // BuildKit makes an ordinary copy of --link with --chmod.
    link: line.link === true && chmod === undefined,
    parents: line.parents === true,
    excludes: line.excludes.map(text => at(text.range, () => expandPattern(text.raw, state.scope.env)).value),
    ...(checksum === undefined ? {} : { checksum }),
    keepGitDir: line.keepGitDir === true,
    unpack:
      line.kind === 'copy' ? 'never' : line.unpack === undefined ? 'auto' : line.unpack ? 'always' : 'never',
    createdBy: createdBy(line, items, written, chown, chmod),
  };
}

/** Absolute and clean; `/` at the end says that it is a directory, and so does a last part `.`. */
function destination(written: string, workdir: string): string {
  const path = joinPath('/', written.startsWith('/') ? '' : workdir, written);
  const isDirectory = written === '' || /(?:^|\/)\.?$/.test(written);
  return isDirectory && path !== '/' ? `${path}/` : path;
}

/** Files first, then heredocs, which is the order in which BuildKit copies them. */
function planItems(line: CopyInstruction, state: StageState, context: StageContext): CopyItem[] {
  const items: CopyItem[] = [];
  for (const source of line.sources) {
    if (!isHeredoc(source)) items.push(planSource(source, line, state, context));
  }
  for (const source of line.sources) {
    if (!isHeredoc(source)) continue;
    const text = source.expand
      ? at(source.range, () => expandHeredoc(source.body, state.scope.env)).value
      : source.body;
    items.push({ kind: 'inline', name: source.name, text });
  }
  return items;
}

function isHeredoc(source: Text | Heredoc): source is Heredoc {
  return 'body' in source;
}

function planSource(source: Text, line: CopyInstruction, state: StageState, context: StageContext): CopyItem {
  const value = expandText(source, state, context);
  const { range } = source;
  const kind = isGitSource(value, line.keepGitDir !== undefined)
    ? 'git'
    : /^https?:\/\//.test(value)
      ? 'url'
      : 'path';
  if (kind === 'path') return { kind, path: value, range };
  if (line.kind === 'copy') {
    throw invalid(`COPY can not copy from ${kind === 'git' ? 'a git repository' : 'a URL'}`, range, {
      hint: 'use ADD for that',
    });
  }
  return { kind, url: value, range };
}

/** git and ssh URLs, `user@host:path`, and http URLs of a path that ends in .git (`known`: of any path). */
export function isGitSource(text: string, known = false): boolean {
  if (/^(?:git|ssh):\/\//.test(text) || /^[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:/.test(text)) return true;
  return /^https?:\/\//.test(text) && (known || /^https?:\/\/[^?#]*\.git(?:[?#]|$)/.test(text));
}

/** `u=rwX,go-w` and the like, as chmod takes it. */
const symbolicMode = /^[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*$/;

function checkMode(mode: string, text: Text): void {
  if (/^[0-7]+$/.test(mode) && Number.parseInt(mode, 8) <= 0o7777) return;
  if (!/^\d/.test(mode) && symbolicMode.test(mode)) return;
  throw invalid(`"${printable(mode)}" is no file mode`, text.range, {
    hint: 'write octal digits up to 7777 such as 0644, or letters such as u=rwX,go=rX',
  });
}

function checkChecksum(checksum: string, line: CopyInstruction, items: readonly CopyItem[]): void {
  const range = line.checksum?.range ?? line.range;
  const [item] = items;
  if (items.length !== 1 || item === undefined) throw invalid('--checksum goes with a single source', range);
  if (item.kind !== 'url' && item.kind !== 'git') {
    throw invalid('--checksum goes with an http or git source', range);
  }
  if (
    item.kind === 'url' &&
    !/^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/.test(checksum)
  ) {
    throw invalid(`"${printable(checksum)}" is no digest`, range, {
      hint: 'write sha256: and 64 hexadecimal digits',
    });
  }
}

function createdBy(
  line: CopyInstruction,
  items: readonly CopyItem[],
  dest: string,
  chown: string | undefined,
  chmod: string | undefined,
): string {
  const words = [
    line.kind === 'add' ? 'ADD' : 'COPY',
    ...(line.parents ? ['--parents'] : []),
    ...(chown === undefined ? [] : [`--chown=${chown}`]),
    ...(chmod === undefined ? [] : [`--chmod=${chmod}`]),
    ...items.map(item => {
      if (item.kind === 'inline') return `<<${item.name}`;
      return item.kind === 'path' ? item.path : item.url;
    }),
    dest,
  ];
  return withoutPasswords(`${words.join(' ')} # buildkit`);
}
