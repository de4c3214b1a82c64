// Readers of the instructions that hold words, pairs or one value: FROM, ARG, ENV, LABEL, EXPOSE, VOLUME, USER,
// WORKDIR, STOPSIGNAL, MAINTAINER.
import { isBlank, quoted, trim } from './chars.ts';
import { readFlags } from './flags.ts';
import type {
  ArgInstruction,
  EnvInstruction,
  FromInstruction,
  KeyValue,
  LabelInstruction,
  ListInstruction,
  Text,
  ValueInstruction,
} from './instructions.ts';
import { refuseMixed, warnNotJson } from './read-command.ts';
import { type Reading, refuse, refuseEmpty, restOf } from './reading.ts';
import { readJsonList, splitBlanks, splitPair, splitQuoted, type Token } from './split.ts';

/** Lower-cased names of stages. */
const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

export function readFrom(reading: Reading): FromInstruction | undefined {
  const { source, head } = reading;
  const flags = readFlags(reading);
  const [image, asKeyword, as, extra] = splitBlanks(source.text, head.rest).map(span => source.textOf(span));
  const usage = 'write FROM image, or FROM image AS name';
  if (image === undefined)
    return refuse(reading, 'missing-argument', 'FROM needs an image', undefined, usage);
  if (asKeyword !== undefined && asKeyword.raw.toLowerCase() !== 'as') {
    const message = `FROM takes an image and AS name, but not ${quoted(asKeyword.raw)}`;
    return refuse(reading, 'invalid-from', message, asKeyword.range, usage);
  }
  if (asKeyword !== undefined && as === undefined) {
    return refuse(
      reading,
      'invalid-from',
      'the name of the stage is missing after AS',
      asKeyword.range,
      usage,
    );
  }
  if (extra !== undefined) return refuse(reading, 'invalid-from', 'FROM takes one name', extra.range, usage);
  if (as !== undefined && !STAGE_NAME.test(as.raw.toLowerCase())) {
    const message = `invalid name for a stage: ${quoted(as.raw)}`;
    const hint = 'a name begins with a letter and goes on with letters, digits, dots, dashes and underscores';
    return refuse(reading, 'invalid-stage-name', message, as.range, hint);
  }
  const platform = flags.get('platform');
  return {
    kind: 'from',
    ...reading.common,
    image,
    ...(as === undefined || asKeyword === undefined ? {} : { as, asKeyword }),
    ...(platform === undefined ? {} : { platform: { raw: platform.raw, range: platform.range } }),
  };
}

export function readArg(reading: Reading): ArgInstruction | undefined {
  const { source, head, escape: escapeChar } = reading;
  readFlags(reading);
  const words = splitQuoted(source.text, head.rest, escapeChar);
  if (words.length === 0) return refuseEmpty(reading, 'ARG NAME or ARG NAME=default');
  const args: { key: Text; value?: Text }[] = [];
  for (const word of words) {
    const { key, value } = splitPair(source.text, word);
    if (key.raw === '') return refuseBlankName(reading, word);
    const text = toText(reading, key);
    args.push(value === undefined ? { key: text } : { key: text, value: toText(reading, value) });
  }
  return { kind: 'arg', ...reading.common, args };
}

export function readPairs(reading: Reading): EnvInstruction | LabelInstruction | undefined {
  const { source, head, escape: escapeChar, name } = reading;
  const kind = name === 'ENV' ? 'env' : 'label';
  readFlags(reading);
  const words = splitQuoted(source.text, head.rest, escapeChar);
  const [first] = words;
  if (first === undefined) return refuseEmpty(reading, `${name} name=value`);
  if (!first.raw.includes('=')) return readLegacyPair(reading, kind, first);
  const pairs: KeyValue[] = [];
  for (const word of words) {
    const { key, value } = splitPair(source.text, word);
    if (value === undefined) return refuseBareWord(reading, word);
    if (key.raw === '') return refuseBlankName(reading, word);
    pairs.push({ key: toText(reading, key), value: toText(reading, value) });
  }
  return { kind, ...reading.common, pairs, legacy: false };
}

/** `ENV name value`: the rest of the line is the value. Quotes do not keep the name together. */
function readLegacyPair(
  reading: Reading,
  kind: 'env' | 'label',
  first: Token,
): EnvInstruction | LabelInstruction | undefined {
  const { source, head, name } = reading;
  const { start, end } = head.rest;
  let keyEnd = start;
  while (keyEnd < end && !isBlank(source.text[keyEnd])) keyEnd++;
  let valueStart = keyEnd;
  while (valueStart < end && isBlank(source.text[valueStart])) valueStart++;
  if (valueStart === end) {
    const message = `${name} needs a name and a value`;
    return refuse(reading, 'missing-argument', message, first, `write ${name} name=value`);
  }
  const key = source.textOf({ start, end: keyEnd });
  const value = source.textOf({ start: valueStart, end });
  return { kind, ...reading.common, pairs: [{ key, value }], legacy: true };
}

function refuseBareWord(reading: Reading, word: Token): undefined {
  const message = `${quoted(word.raw)} has no =`;
  const hint = `write name=value; a value with blanks in it needs quotes around it`;
  return refuse(reading, 'invalid-pair', message, word, hint);
}

function refuseBlankName(reading: Reading, word: Token): undefined {
  return refuse(reading, 'blank-name', `the name before the = of ${reading.name} is missing`, word);
}

function toText({ source }: Reading, token: Token): Text {
  return source.textOf(token, token.raw);
}

export function readExpose(reading: Reading): ListInstruction | undefined {
  const { source, head } = reading;
  readFlags(reading);
  const items = splitBlanks(source.text, head.rest).map(span => source.textOf(span));
  if (items.length === 0) return refuseEmpty(reading, 'EXPOSE port');
  return { kind: 'expose', ...reading.common, items };
}

export function readVolume(reading: Reading): ListInstruction | undefined {
  const { source, head } = reading;
  readFlags(reading);
  const list = readJsonList(source.text, head.rest);
  if (list.kind === 'mixed') return refuseMixed(reading, head.rest);
  if (list.kind === 'none' && list.looksLike) {
    warnNotJson(reading, head.rest, 'its words are taken as they stand');
  }
  const items =
    list.kind === 'list'
      ? list.items.map(item => source.textOf(item, trim(item.raw)))
      : splitBlanks(source.text, head.rest).map(span => source.textOf(span));
  if (items.length === 0) return refuseEmpty(reading, 'VOLUME /path');
  const empty = items.find(item => item.raw === '');
  if (empty !== undefined) return refuse(reading, 'empty-volume', 'a volume cannot be empty', empty.range);
  return { kind: 'volume', ...reading.common, items };
}

const VALUE_KINDS = {
  USER: { kind: 'user', usage: 'USER name' },
  WORKDIR: { kind: 'workdir', usage: 'WORKDIR /path' },
  STOPSIGNAL: { kind: 'stopsignal', usage: 'STOPSIGNAL signal' },
  MAINTAINER: { kind: 'maintainer', usage: 'LABEL org.opencontainers.image.authors=name instead' },
} as const;

export function readValue(reading: Reading, name: keyof typeof VALUE_KINDS): ValueInstruction | undefined {
  const { kind, usage } = VALUE_KINDS[name];
  readFlags(reading);
  if (restOf(reading) === '') return refuseEmpty(reading, usage);
  return { kind, ...reading.common, value: reading.source.textOf(reading.head.rest) };
}
