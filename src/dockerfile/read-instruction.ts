// From the text of one instruction to its value: the dispatch to the readers of each kind, and ONBUILD.
import type { Diagnostic, SourceRange } from '../errors.ts';
import { unreachable } from '../errors.ts';
import { quoted } from './chars.ts';
import { readFlags } from './flags.ts';
import type {
  Directives,
  Heredoc,
  Instruction,
  OnbuildInstruction,
  StageInstruction,
} from './instructions.ts';
import { KEYWORDS, keywordOf } from './keywords.ts';
import type { MappedText } from './mapped-text.ts';
import { readCmd, readHealthcheck, readRun, readShell } from './read-command.ts';
import { readCopy } from './read-copy.ts';
import { readArg, readExpose, readFrom, readPairs, readValue, readVolume } from './read-settings.ts';
import { type Common, commonOf, type Reading, refuse, refuseEmpty } from './reading.ts';
import { type Head, splitHead } from './split.ts';
import { didYouMean } from './suggest.ts';

/** What of an instruction the scanner found, and what the file says about all. */
export interface InstructionSource {
  readonly source: MappedText;
  readonly heredocs: readonly Heredoc[];
  readonly range: SourceRange;
  readonly comments: readonly string[];
  readonly skip: readonly string[];
  readonly escape: Directives['escape'];
}

/** Reads one instruction; undefined when it cannot be read, and the reason is among `problems`. */
export function readInstruction(from: InstructionSource, problems: Diagnostic[]): Instruction | undefined {
  const reading = begin(from, 0, problems);
  if (reading === undefined) return undefined;
  if (reading.name === 'FROM') return readFrom(reading);
  return reading.name === 'ONBUILD' ? readOnbuild(from, reading) : readPlain(reading);
}

/** Finds the keyword at `offset`; an unknown one is reported. */
function begin(from: InstructionSource, offset: number, problems: Diagnostic[]): Reading | undefined {
  const { source } = from;
  const head = splitHead(source.text, offset);
  const common = commonOf(source, head, from.range, offset === 0 ? from.comments : [], from.skip);
  const name = keywordOf(common.keyword.raw);
  if (name === undefined) {
    problems.push(unknownInstruction(common, head));
    return undefined;
  }
  return { name, source, head, common, heredocs: from.heredocs, escape: from.escape, problems };
}

function unknownInstruction({ keyword }: Common, head: Head): Diagnostic {
  const isEmpty = head.keyword.start === head.keyword.end;
  return {
    severity: 'error',
    rule: 'unknown-instruction',
    message: isEmpty ? 'an instruction is missing here' : `unknown instruction ${quoted(keyword.raw)}`,
    hint:
      didYouMean(keyword.raw, KEYWORDS) ??
      'a line begins with an instruction such as RUN; one that goes on needs a continuation character at its end',
    range: keyword.range,
  };
}

/** Everything but FROM and ONBUILD. */
function readPlain(reading: Reading): Exclude<StageInstruction, OnbuildInstruction> | undefined {
  const { name } = reading;
  switch (name) {
    case 'RUN':
      return readRun(reading);
    case 'COPY':
    case 'ADD':
      return readCopy(reading);
    case 'ENV':
    case 'LABEL':
      return readPairs(reading);
    case 'ARG':
      return readArg(reading);
    case 'CMD':
    case 'ENTRYPOINT':
      return readCmd(reading);
    case 'HEALTHCHECK':
      return readHealthcheck(reading);
    case 'SHELL':
      return readShell(reading);
    case 'EXPOSE':
      return readExpose(reading);
    case 'VOLUME':
      return readVolume(reading);
    case 'USER':
    case 'WORKDIR':
    case 'STOPSIGNAL':
    case 'MAINTAINER':
      return readValue(reading, name);
    case 'FROM':
    case 'ONBUILD':
      return undefined;
    default:
      return unreachable(name);
  }
}

function readOnbuild(from: InstructionSource, reading: Reading): OnbuildInstruction | undefined {
  readFlags(reading);
  const { start, end } = reading.head.rest;
  if (start === end) return refuseEmpty(reading, 'ONBUILD followed by an instruction');
  const inner = begin(from, start, reading.problems);
  if (inner === undefined) return undefined;
  const instruction = readTrigger(inner);
  if (instruction === undefined) return undefined;
  return { kind: 'onbuild', ...reading.common, trigger: triggerText(reading, start), instruction };
}

/** Reads what may stand behind ONBUILD. */
function readTrigger(reading: Reading): Exclude<StageInstruction, OnbuildInstruction> | undefined {
  const { name } = reading;
  if (name !== 'FROM' && name !== 'ONBUILD' && name !== 'MAINTAINER') return readPlain(reading);
  return refuse(reading, 'invalid-trigger', `${name} is not allowed as an ONBUILD trigger`);
}

/** As a config stores a trigger: on one line, the bodies of its heredocs below it. */
function triggerText({ source, heredocs }: Reading, start: number): string {
  let text = source.text.slice(start);
  for (const { name, body, verbatim } of heredocs) text += `\n${verbatim ?? body}${name}`;
  return text;
}

/** Reads a trigger that stands alone, as in the config of a base image. */
export function readStoredTrigger(
  from: InstructionSource,
  problems: Diagnostic[],
): StageInstruction | undefined {
  const reading = begin(from, 0, problems);
  return reading === undefined ? undefined : readTrigger(reading);
}
