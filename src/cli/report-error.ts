// What a person reads when something went wrong: message, place with an excerpt, what to try.
import {
  BuildError,
  type Diagnostic,
  errnoOf,
  linesOf,
  messageOf,
  printable,
  printableLines,
  type SourceRange,
} from '../errors.ts';

const contextLines = 2;

/** The text for any thrown value, with a trailing newline. `debug` adds codes, facts, causes and the stack. */
export function renderError(error: unknown, debug = false): string {
  const failure = error instanceof BuildError ? error : wrap(error);
  const lines: string[] = [];
  // A failure that only carries findings says them; one that has a place of its own says that first.
  const findings = failure.diagnostics;
  const saysItself = findings.length === 0 || !findings.some(d => d.message === failure.message);
  if (saysItself) {
    lines.push(
      `error: ${printableLines(failure.message)}`,
      ...excerpt(failure.range),
      ...failure.output.map(line => `  ${line}`),
    );
    if (failure.hint) lines.push(`  try: ${printableLines(failure.hint)}`);
  }
  for (const finding of findings) lines.push(renderDiagnostic(finding).trimEnd());
  if (debug) lines.push(...debugLines(failure));
  return `${lines.join('\n')}\n`;
}

function wrap(error: unknown): BuildError {
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new BuildError('store', `no space left: ${messageOf(error)}`, {
      cause: error,
      hint: 'slipway prune frees what no image needs',
    });
  }
  if (errno) return new BuildError('store', messageOf(error), { cause: error });
  return new BuildError('internal', `internal error: ${messageOf(error)}`, {
    cause: error,
    hint: 'this is a defect of slipway; run again with --debug and report the output',
  });
}

/** One finding with its excerpt, as in `warning: ... (RuleName)`. */
export function renderDiagnostic(d: Diagnostic): string {
  const isRule = /^[A-Z]/.test(d.rule);
  const lines = [
    `${d.severity}: ${printableLines(d.message)}${isRule ? ` (${d.rule})` : ''}`,
    ...excerpt(d.range),
  ];
  if (d.hint) lines.push(`  try: ${printableLines(d.hint)}`);
  if (d.url) lines.push(`  see: ${d.url}`);
  return `${lines.join('\n')}\n`;
}

/** The lines around a range, the range itself marked below. */
function excerpt(range: SourceRange | undefined): string[] {
  if (!range) return [];
  const source = linesOf(range.file);
  const first = Math.max(1, range.start.line - contextLines);
  const lastMarked =
    range.end.column === 0 && range.end.line > range.start.line ? range.end.line - 1 : range.end.line;
  const last = Math.min(source.length, lastMarked + contextLines);
  const width = String(last).length;
  const lines = [`  ${printable(range.file.name)}:${range.start.line}`];
  const shownMarked = Math.min(lastMarked, range.start.line + 9);
  for (let line = first; line <= last; line++) {
    if (line > shownMarked && line <= lastMarked) {
      if (line === shownMarked + 1) lines.push(`  ${' '.repeat(width)} | ...`);
      continue;
    }
    const text = clip(source[line - 1] ?? '');
    const marked = line >= range.start.line && line <= lastMarked;
    lines.push(`${marked ? '>' : ' '} ${String(line).padStart(width)} | ${text}`.trimEnd());
    if (marked && range.start.line === range.end.line) lines.push(underline(range, width, text));
  }
  return lines;
}

function clip(text: string): string {
  return printable(text.length > 200 ? `${text.slice(0, 197)}...` : text.replaceAll('\t', ' '));
}

function underline(range: SourceRange, width: number, text: string): string {
  const from = Math.min(range.start.column, text.length);
  const to = Math.max(from + 1, Math.min(range.end.column, text.length));
  return `  ${' '.repeat(width)} | ${' '.repeat(from)}${'^'.repeat(to - from)}`;
}

function debugLines(failure: BuildError): string[] {
  const lines = [`code: ${failure.code}`];
  for (const [key, value] of Object.entries(failure.facts)) lines.push(`${key}: ${value}`);
  lines.push(failure.stack ?? '');
  for (let cause = failure.cause; cause; cause = (cause as { cause?: unknown }).cause) {
    lines.push(`caused by: ${(cause as Error).stack ?? String(cause)}`);
  }
  return lines;
}
