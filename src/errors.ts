// What went wrong, as data. Two channels: a Diagnostic says what the user wrote wrong (many at once, with a
// place); a BuildError is thrown when work cannot go on. cli/report-error.ts turns both into text.

/** A text that a user wrote: the Dockerfile, an ignore file. `name` is shown, `text` is quoted in excerpts. */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
}

const knownLines = new WeakMap<SourceFile, readonly string[]>();

/** The lines of a file without their ends, split once: a file may have tens of thousands of findings. */
export function linesOf(file: SourceFile): readonly string[] {
  const lines = knownLines.get(file) ?? file.text.split(/\r?\n/);
  knownLines.set(file, lines);
  return lines;
}

/** Line is 1-based; column counts UTF-16 units from 0. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A part of a source file; `end` is exclusive. */
export interface SourceRange {
  readonly file: SourceFile;
  readonly start: Position;
  readonly end: Position;
}

/** One finding about what the user wrote. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  /** Name of the lint rule, or a kebab-case kind such as `unknown-instruction`. */
  readonly rule: string;
  readonly message: string;
  /** What to try. */
  readonly hint?: string;
  readonly range?: SourceRange;
  /** Documentation. */
  readonly url?: string;
}

/** Decides the exit status (cli/exit-status.ts). */
export type ErrorCode =
  | 'usage' // flags, names and values on the command line
  | 'dockerfile' // what a Dockerfile says
  | 'context' // missing or unreadable build input
  | 'not-found' // an image, a stage, a blob that is not there
  | 'auth' // credentials missing or refused
  | 'network' // a server cannot be reached or does not answer properly
  | 'integrity' // bytes that do not match their digest, size or format
  | 'hostile' // input that tries to reach outside what it may touch
  | 'run' // a RUN command ended with a status other than 0
  | 'sandbox' // nothing on this machine can run a command as asked
  | 'store' // the local store is damaged, full or not writable
  | 'output' // the destination cannot be written
  | 'unsupported' // asked for something slipway does not do
  | 'interrupted' // the user or a signal stopped it
  | 'internal'; // a defect of slipway

export interface ErrorDetails {
  readonly hint?: string;
  readonly range?: SourceRange;
  readonly cause?: unknown;
  /** Further findings of the same kind, reported with this one. */
  readonly diagnostics?: readonly Diagnostic[];
  /** Facts for --debug, JSON output and tests: `expected`, `found`, `exitCode`, `status`, `path`, ... */
  readonly facts?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Lines of output to repeat under the message (the tail of a failed command). */
  readonly output?: readonly string[];
}

/** A failure with all its facts and a next step. The message is one sentence without the place. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly range: SourceRange | undefined;
  readonly diagnostics: readonly Diagnostic[];
  readonly facts: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly output: readonly string[];

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.range = details.range;
    this.diagnostics = details.diagnostics ?? [];
    this.facts = details.facts ?? {};
    this.output = details.output ?? [];
  }
}

/** The end of an exhaustive switch: the compiler refuses a forgotten case, the run time names it. */
export function unreachable(value: never): never {
  throw new BuildError('internal', `unexpected value ${JSON.stringify(value)}`);
}

/** The `code` of a system error (ENOENT, ...), undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** A short text for any thrown value; the system's own name files, which an image may have called anything. */
export function messageOf(error: unknown): string {
  return printableLines(error instanceof Error ? error.message : String(error));
}

/** `text` with control and bidirectional-override characters made visible, for names that come from outside. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The same for a text that may have lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** `text` without the user and the password of the web addresses in it. */
export function withoutPasswords(text: string): string {
  return text.replace(/\b(https?:\/\/)[^\s/?#@]*@/gi, '$1');
}
