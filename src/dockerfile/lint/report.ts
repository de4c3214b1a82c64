// Findings as text, JSON and SARIF. The first two have the shape that `docker build --check` prints; the third is
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
import { type Diagnostic, linesOf, type SourceFile, type SourceRange } from '../../errors.ts';
import { rules } from './rules.ts';

export type LintFormat = 'text' | 'json' | 'sarif';

/** What stopped the file from being read or planned; shown behind the findings. */
export interface LintFailure {
  readonly message: string;
  readonly hint?: string;
  readonly range?: SourceRange;
}

/**
 * @param version of slipway, for SARIF
 * @returns what `--check` and `lint` print, with a line end
 */
export function formatFindings(
  format: LintFormat,
  findings: readonly Diagnostic[],
  failures: readonly LintFailure[] = [],
  version?: string,
): string {
  switch (format) {
    case 'text':
      return asText(findings, failures);
    case 'json':
      return `${JSON.stringify(asJson(findings, failures), undefined, 2)}\n`;
    case 'sarif':
      return `${JSON.stringify(asSarif(findings, failures, version), undefined, 2)}\n`;
  }
}

function asText(findings: readonly Diagnostic[], failures: readonly LintFailure[]): string {
  const count = findings.length;
  const found = count === 1 ? '1 warning has been found' : `${count} warnings have been found`;
  const blocks = [count === 0 ? 'Check complete, no warnings found.' : `Check complete, ${found}!`];
  for (const { rule, message, url, range } of findings) {
    const title = `WARNING: ${rule}${url === undefined ? '' : ` - ${url}`}`;
    blocks.push([title, message, ...placeLines(range)].join('\n'));
  }
  for (const failure of failures) {
    const hint = failure.hint === undefined ? [] : [failure.hint];
    blocks.push([`ERROR: ${failure.message}`, ...hint, ...placeLines(failure.range)].join('\n'));
  }
  return `${blocks.join('\n\n')}\n`;
}

/** Name and line, and the lines around with the ones that are meant marked. */
function placeLines(range: SourceRange | undefined): string[] {
  if (range === undefined) return [];
  const { file, start } = range;
  const rule = '-'.repeat(20);
  return [`${file.name}:${start.line}`, rule, ...excerpt(range), rule];
}

const around = 2;

/** Marked lines of a range that is longer are cut. */
const maxMarked = 30;

function excerpt({ file, start, end }: SourceRange): string[] {
  const lines = linesOf(file);
  const last = Math.min(
    Math.max(end.line - (end.column === 0 && end.line > start.line ? 1 : 0), start.line),
    start.line + maxMarked,
  );
  const shown: string[] = [];
  for (let n = Math.max(1, start.line - around); n <= Math.min(lines.length, last + around); n++) {
    const mark = n >= start.line && n <= last ? '>>>' : '   ';
    shown.push(`${String(n).padStart(4)} | ${mark} ${lines[n - 1] ?? ''}`.trimEnd());
  }
  return shown;
}

interface JsonLocation {
  readonly ranges: readonly { readonly start: { line: number }; readonly end: { line: number } }[];
}

function location(range: SourceRange | undefined): { location?: JsonLocation } {
  if (range === undefined) return {};
  return { location: { ranges: [{ start: { line: range.start.line }, end: { line: range.end.line } }] } };
}

/** The object that `docker build --call=check,format=json` prints. */
function asJson(findings: readonly Diagnostic[], failures: readonly LintFailure[]): Record<string, unknown> {
  // That shape has room for one.
  const [failure] = failures;
  return {
    warnings: findings.map(({ rule, message, url, range }) => ({
      ruleName: rule,
      ...describe(rule),
      ...(url === undefined ? {} : { url }),
      detail: message,
      ...location(range),
    })),
    ...(failure === undefined
      ? {}
      : { buildError: { message: failure.message, ...location(failure.range) } }),
    sources: filesOf(findings, failures).map(({ name, text }) => ({
      filename: name,
      language: 'Dockerfile',
      data: Buffer.from(text, 'utf8').toString('base64'),
    })),
  };
}

/** The files that something was found in, each once. */
function filesOf(findings: readonly Diagnostic[], failures: readonly LintFailure[]): SourceFile[] {
  const ranges = [...findings, ...failures].map(({ range }) => range);
  return [...new Set(ranges.flatMap(range => (range === undefined ? [] : [range.file])))];
}

function describe(name: string): { description?: string } {
  const rule = rules.find(known => known.name === name);
  return rule === undefined ? {} : { description: rule.description };
}

/** Under which the errors of a file stand. */
const buildRule = 'build';

function asSarif(
  findings: readonly Diagnostic[],
  failures: readonly LintFailure[],
  version?: string,
): Record<string, unknown> {
  const known = new Set(rules.map(rule => rule.name));
  const others = [...new Set(findings.map(finding => finding.rule))].filter(name => !known.has(name));
  const descriptors = [
    ...rules.map(({ name, description, url }) => ({
      id: name,
      shortDescription: { text: description },
      ...(url === undefined ? {} : { helpUri: url }),
    })),
    ...others.map(id => ({ id })),
    ...(failures.length === 0
      ? []
      : [{ id: buildRule, shortDescription: { text: 'The file can be built' } }]),
  ];
  const results = findings.map(({ rule, message, range }) => sarifResult(rule, 'warning', message, range));
  for (const failure of failures) {
    results.push(sarifResult(buildRule, 'error', failure.message, failure.range));
  }
  const driver = { name: 'slipway', ...(version === undefined ? {} : { version }), rules: descriptors };
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results }],
  };
}

/** Columns count from 1 there. */
function sarifResult(
  ruleId: string,
  level: 'warning' | 'error',
  text: string,
  range: SourceRange | undefined,
): Record<string, unknown> {
  const locations = range === undefined ? [] : [{ physicalLocation: physicalLocation(range) }];
  return { ruleId, level, message: { text }, locations };
}

function physicalLocation({ file, start, end }: SourceRange): Record<string, unknown> {
  const region = {
    startLine: start.line,
    startColumn: start.column + 1,
    endLine: end.line,
    endColumn: end.column + 1,
  };
  // A colon would end a scheme, and # and ? the path.
  const uri = file.name.split('/').map(encodeURIComponent).join('/');
  return { artifactLocation: { uri }, region };
}
