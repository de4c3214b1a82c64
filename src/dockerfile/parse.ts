// From a Dockerfile to its stages: https://docs.docker.com/reference/dockerfile/
// What the user wrote wrong becomes diagnostics, as many as can be found at once.
import type { Diagnostic, SourceFile, SourceRange } from '../errors.ts';
import { checkSyntax, otherLanguage } from './frontend.ts';
import type {
  ArgInstruction,
  Dockerfile,
  FromInstruction,
  Instruction,
  Stage,
  StageInstruction,
} from './instructions.ts';
import { readInstruction, readStoredTrigger } from './read-instruction.ts';
import { type Scan, type ScannedInstruction, scan } from './scan.ts';

/** After so many errors the rest of the file is not reported on. */
export const MAX_ERRORS = 50;

/** Reads a whole file. Never throws for what the user wrote: `diagnostics` holds an error when it cannot be built. */
export function parseDockerfile(file: SourceFile): Dockerfile {
  const scanned = scan(file);
  const { directives } = scanned;
  const problems: Diagnostic[] = [...scanned.diagnostics];
  const collector = new StageCollector(problems);
  let previous: ScannedInstruction | undefined;
  for (const one of scanned.instructions) {
    if (collector.errors() > MAX_ERRORS) {
      const message = `more than ${MAX_ERRORS} errors: the rest of the file was not read`;
      problems.push(error('too-many-errors', message, one.range));
      break;
    }
    if (one.source.text.includes('\0')) {
      problems.push(nulCharacter(one.range));
      break;
    }
    const instruction = readInstruction({ ...one, escape: directives.escape }, problems);
    if (instruction === undefined) {
      collector.skip(one.source.text);
      explainGlued(problems, previous);
    } else collector.add(instruction);
    previous = one;
  }
  const { stages, globalArgs } = collector;
  if (stages.length === 0 && !collector.saidNoStage) problems.push(...checkWhole(file, scanned));
  problems.push(...checkSyntax(directives));
  const other = problems.some(isError) ? otherLanguage(file) : undefined;
  if (other !== undefined) return { file, directives, globalArgs, stages, diagnostics: [other] };
  return { file, directives, globalArgs, stages, diagnostics: inOrder(problems) };
}

/**
 * Reads one ONBUILD trigger out of a base image's config. The ranges of what is found are places in a file that has
 * `file`'s name and `text` as its text. FROM, ONBUILD and MAINTAINER are refused, and so is a second instruction.
 */
export function parseTrigger(
  text: string,
  file: SourceFile,
): { readonly instruction?: StageInstruction; readonly diagnostics: readonly Diagnostic[] } {
  const own = file.text === text ? file : { name: file.name, text };
  const { directives, instructions, diagnostics } = scan(own);
  const problems: Diagnostic[] = [...diagnostics];
  const [first, second] = instructions;
  if (first === undefined) {
    if (!problems.some(isError))
      problems.push(error('invalid-trigger', 'the trigger is empty', startOf(own)));
    return { diagnostics: problems };
  }
  if (second !== undefined) {
    problems.push(error('invalid-trigger', 'a trigger is one instruction, but there are more', second.range));
  }
  const instruction = readStoredTrigger({ ...first, escape: directives.escape }, problems);
  if (instruction === undefined || problems.some(isError)) return { diagnostics: problems };
  return { instruction, diagnostics: problems };
}

/** Puts instructions into their stages. */
class StageCollector {
  readonly #problems: Diagnostic[];
  readonly globalArgs: ArgInstruction[] = [];
  readonly #stages: { from: FromInstruction; instructions: StageInstruction[] }[] = [];
  /** An instruction before the first FROM was reported. */
  saidNoStage = false;
  /** A FROM that could not be read: what follows it is not outside of a stage. */
  #lostFrom = false;
  #errors = 0;
  #counted = 0;

  constructor(problems: Diagnostic[]) {
    this.#problems = problems;
  }

  get stages(): Stage[] {
    return this.#stages.map(({ from, instructions }, index) => ({
      index,
      ...(from.as === undefined ? {} : { name: from.as.raw.toLowerCase() }),
      from,
      instructions,
    }));
  }

  /** How many errors have been found so far. */
  errors(): number {
    for (; this.#counted < this.#problems.length; this.#counted++) {
      if (this.#problems[this.#counted]?.severity === 'error') this.#errors++;
    }
    return this.#errors;
  }

  add(instruction: Instruction): void {
    const stage = this.#stages.at(-1);
    if (instruction.kind === 'from') this.#stages.push({ from: instruction, instructions: [] });
    else if (stage !== undefined) stage.instructions.push(instruction);
    else if (instruction.kind === 'arg') this.globalArgs.push(instruction);
    else if (!this.#lostFrom && !this.saidNoStage) {
      this.saidNoStage = true;
      const name = instruction.keyword.raw.toUpperCase();
      const message = `${name} stands before the first FROM, so it belongs to no build stage`;
      const hint = 'only ARG may stand before the first FROM';
      this.#problems.push({ ...error('no-build-stage', message, instruction.keyword.range), hint });
    }
  }

  /** Notes an instruction that could not be read. */
  skip(text: string): void {
    if (/^from\s/i.test(text)) this.#lostFrom = true;
  }
}

/** Why a file without stages has none, unless an error says so already. */
function checkWhole(file: SourceFile, { instructions, diagnostics }: Scan): Diagnostic[] {
  const last = instructions.at(-1);
  if (last === undefined) {
    if (diagnostics.some(isError)) return [];
    const message =
      file.text.trim() === '' ? 'the Dockerfile is empty' : 'the Dockerfile has no instructions';
    return [{ ...error('no-instructions', message, startOf(file)), hint: 'begin with FROM and an image' }];
  }
  const isFrom = (text: string) => /^from(\s|$)/i.test(text);
  if (instructions.some(({ source }) => isFrom(source.text))) return [];
  return [
    { ...error('no-stages', 'the Dockerfile has no FROM', last.range), hint: 'begin with FROM and an image' },
  ];
}

/** `RUN cat<<EOF` opens no heredoc, and then the body is read as instructions: says so at the first one. */
function explainGlued(problems: Diagnostic[], previous: ScannedInstruction | undefined): void {
  const last = problems.at(-1);
  if (last?.rule !== 'unknown-instruction' || previous === undefined || previous.heredocs.length > 0) return;
  if (!/[^\s<]<<-?["'\w]/.test(previous.source.text)) return;
  const hint = 'if the line above should open a heredoc: << opens one only at the beginning of a word';
  problems[problems.length - 1] = { ...last, hint };
}

function nulCharacter(range: SourceRange): Diagnostic {
  const hint = 'save the file as UTF-8';
  return { ...error('nul-character', 'the instruction holds a NUL character', range), hint };
}

function isError({ severity }: Diagnostic): boolean {
  return severity === 'error';
}

function error(rule: string, message: string, range: SourceRange): Diagnostic {
  return { severity: 'error', rule, message, range };
}

function startOf(file: SourceFile): SourceRange {
  const start = { line: 1, column: 0 };
  return { file, start, end: start };
}

/** By place in the file; the sort is stable. */
function inOrder(problems: readonly Diagnostic[]): Diagnostic[] {
  const line = ({ range }: Diagnostic) => range?.start.line ?? 0;
  const column = ({ range }: Diagnostic) => range?.start.column ?? 0;
  return [...problems].sort((a, b) => line(a) - line(b) || column(a) - column(b));
}
