// Readers of COPY and ADD.
import { quoted } from './chars.ts';
import { readFlags } from './flags.ts';
import { heredocMark } from './heredocs.ts';
import type { CopyInstruction, Heredoc, Text } from './instructions.ts';
import { refuseMixed, warnNotJson } from './read-command.ts';
import { type Reading, refuse } from './reading.ts';
import { readJsonList, splitBlanks, type Token } from './split.ts';

export function readCopy(reading: Reading): CopyInstruction | undefined {
  const flags = readFlags(reading);
  const from = flags.get('from');
  if (from !== undefined && /\$[\p{L}\p{Nd}_{@*#?!$-]/u.test(from.raw)) {
    const hint = 'give the image a name with FROM ... AS name, where variables work, and use that name';
    refuse(reading, 'variable-in-from', 'expansion is not supported in --from', from.range, hint);
  }
  const operands = readOperands(reading);
  if (operands === undefined) return undefined;
  const value = (name: string) => {
    const found = flags.get(name);
    return found === undefined ? undefined : { raw: found.raw, range: found.range };
  };
  const optional = {
    from: value('from'),
    chown: value('chown'),
    chmod: value('chmod'),
    checksum: value('checksum'),
    link: flags.isOn('link'),
    parents: flags.isOn('parents'),
    keepGitDir: flags.isOn('keep-git-dir'),
    unpack: flags.isOn('unpack'),
  };
  const present = Object.fromEntries(Object.entries(optional).filter(([, found]) => found !== undefined));
  const excludes = flags.all('exclude').map(({ raw, range }) => ({ raw, range }));
  const kind = reading.name === 'COPY' ? 'copy' : 'add';
  return { kind, ...reading.common, ...operands, ...present, excludes };
}

interface Operands {
  readonly sources: readonly (Text | Heredoc)[];
  readonly dest: Text;
}

function readOperands(reading: Reading): Operands | undefined {
  const { source, head, name } = reading;
  const list = readJsonList(source.text, head.rest);
  if (list.kind === 'mixed') return refuseMixed(reading, head.rest);
  const isJson = list.kind === 'list';
  if (!isJson && list.looksLike) warnNotJson(reading, head.rest, 'its words are taken as they stand');
  const words = isJson ? list.items : splitBlanks(source.text, head.rest).map(span => withRaw(reading, span));
  const last = words.at(-1);
  if (last === undefined || words.length < 2) {
    const message = `${name} needs at least one source and a destination`;
    const place = last ?? head.keyword;
    return refuse(reading, 'missing-argument', message, place, `write ${name} source destination`);
  }
  if (!isJson && heredocMark(last.raw) !== undefined) {
    const message = `the destination of ${name} cannot be a heredoc`;
    return refuse(reading, 'heredoc-destination', message, last, 'write the destination behind the heredocs');
  }
  if (!areFileNames(reading)) return undefined;
  const sources = words
    .slice(0, -1)
    .map(word => (isJson ? undefined : heredocOf(reading, word)) ?? toText(reading, word));
  return { sources, dest: toText(reading, last) };
}

/** Refuses heredocs of which no file can be made: their word is the file's name. */
function areFileNames(reading: Reading): boolean {
  const wrong = reading.heredocs.find(({ name }) => name.includes('/') || name === '.' || name === '..');
  if (wrong === undefined) return true;
  const message = `the word of the heredoc is the name of a file, which ${quoted(wrong.name)} cannot be`;
  refuse(reading, 'invalid-heredoc-name', message, undefined, 'put the directory into the destination');
  return false;
}

function withRaw({ source }: Reading, span: { start: number; end: number }): Token {
  return { ...span, raw: source.text.slice(span.start, span.end) };
}

function toText({ source }: Reading, word: Token): Text {
  return source.textOf(word, word.raw);
}

/** The heredoc that a word stands for. Of two with the same name the last one counts, as in the reference. */
function heredocOf(reading: Reading, word: Token): Heredoc | undefined {
  const mark = heredocMark(word.raw);
  return mark && reading.heredocs.findLast(heredoc => heredoc.name === mark.name);
}
