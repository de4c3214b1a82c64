// Which files of a context an ignore file leaves out: .dockerignore
// (https://docs.docker.com/build/concepts/context/#dockerignore-files). The last line that matches a path or one of
// its parent directories decides; `!` takes back in.
import { BuildError, printable, type SourceFile } from '../errors.ts';
import type { BytePath } from '../tree/entry.ts';
import { cleanPath, compilePattern, type PathPattern, trimSpace } from './pattern.ts';

/** The line that decided about a path. */
export interface IgnoreMatch {
  /** As written. */
  readonly pattern: string;
  /** 1-based line in the file; 0 when the patterns do not come from one. */
  readonly line: number;
  /** The line takes the path back in. */
  readonly negated: boolean;
}

export interface IgnoreRules {
  readonly file: SourceFile;
  /** There is no pattern. */
  readonly empty: boolean;
  /** Whether the path is left out, by itself or by a directory above it. Results for directories are remembered. */
  ignores(path: BytePath): boolean;
  /** The line that decided about the path; undefined when none matches it. */
  match(path: BytePath): IgnoreMatch | undefined;
  /** Whether something below this ignored directory may be taken back in; otherwise a walk need not enter it. */
  mayReinclude(directory: BytePath): boolean;
}

interface Line {
  readonly source: string;
  readonly line: number;
  readonly pattern: PathPattern;
}

interface Result {
  readonly ignored: boolean;
  /** Index of the line that decided, -1 for none. */
  readonly decidedBy: number;
  /** For each pattern whether it matched here or above; undefined when none did. */
  readonly matched: Uint8Array | undefined;
}

const untouched: Result = { ignored: false, decidedBy: -1, matched: undefined };

/** @throws BuildError `context` for an invalid pattern, with its place */
export function parseIgnore(file: SourceFile): IgnoreRules {
  const text = file.text.startsWith('\ufeff') ? file.text.slice(1) : file.text;
  const lines: Line[] = [];
  text.split('\n').forEach((raw, index) => {
    if (raw.startsWith('#')) return;
    const source = trimSpace(raw);
    const normal = normalize(source);
    if (normal === '') return;
    const pattern = compilePattern(normal);
    if ('problem' in pattern) throw invalid(file, raw, index + 1, pattern.problem);
    lines.push({ source, line: index + 1, pattern });
  });
  return new Rules(file, lines);
}

/**
 * Patterns of COPY --exclude: the same rules without a file.
 * @throws BuildError `dockerfile` for an invalid pattern
 */
export function compileExcludes(patterns: readonly string[]): IgnoreRules {
  const lines: Line[] = [];
  for (const written of patterns) {
    const source = trimSpace(written);
    if (source === '') continue;
    const pattern = compilePattern(source);
    if ('problem' in pattern) {
      throw new BuildError('dockerfile', `invalid exclude pattern ${printable(written)}: ${pattern.problem}`);
    }
    lines.push({ source, line: 0, pattern });
  }
  return new Rules({ name: '--exclude', text: '' }, lines);
}

/** A leading `/` means the context's root, also behind `!`. */
function normalize(source: string): string {
  const negated = source.startsWith('!');
  let body = negated ? trimSpace(source.slice(1)) : source;
  if (body !== '') {
    body = cleanPath(body);
    if (body.length > 1 && body.startsWith('/')) body = body.slice(1);
  }
  return negated ? `!${body}` : body;
}

function invalid(file: SourceFile, raw: string, line: number, problem: string): BuildError {
  return new BuildError('context', `invalid pattern in ${printable(file.name)}: ${problem}`, {
    range: { file, start: { line, column: 0 }, end: { line, column: raw.replace(/\r$/, '').length } },
    facts: { line },
    hint: 'see https://docs.docker.com/build/concepts/context/#dockerignore-files',
  });
}

class Rules implements IgnoreRules {
  readonly file: SourceFile;
  readonly empty: boolean;
  readonly #lines: readonly Line[];
  /** Directories only; a file's result is not asked for twice. */
  readonly #directories = new Map<string, Result>([['', untouched]]);
  /** Texts of the `!` patterns without a trailing glob, with a `/`; undefined when one has wildcards elsewhere. */
  readonly #reincluded: readonly string[] | undefined;

  constructor(file: SourceFile, lines: readonly Line[]) {
    this.file = file;
    this.#lines = lines;
    this.empty = lines.length === 0;
    const texts = lines.filter(l => l.pattern.negated).map(l => l.pattern.text.replace(/\/\*\*?$/, ''));
    const plain = texts.every(text => !/[*[\]?^\\]/.test(text));
    this.#reincluded = plain
      ? texts.map(text => `${Buffer.from(text, 'utf8').toString('latin1')}/`)
      : undefined;
  }

  ignores(path: BytePath): boolean {
    if (this.empty || path === '') return false;
    return this.#evaluate(path).ignored;
  }

  match(path: BytePath): IgnoreMatch | undefined {
    const line = this.#lines[this.#evaluate(path).decidedBy];
    return line && { pattern: line.source, line: line.line, negated: line.pattern.negated };
  }

  mayReinclude(directory: BytePath): boolean {
    if (this.#reincluded === undefined) return true;
    return this.#reincluded.some(text => text.startsWith(`${directory}/`));
  }

  #evaluate(path: string): Result {
    if (path === '') return untouched;
    const end = path.lastIndexOf('/');
    return this.#step(path, this.#directory(end < 0 ? '' : path.slice(0, end)).matched);
  }

  #directory(path: string): Result {
    let known = this.#directories.get(path);
    if (known === undefined) {
      known = this.#evaluate(path);
      this.#directories.set(path, known);
    }
    return known;
  }

  /** A pattern that cannot change the outcome is not tried, as Docker does it; later paths below see it as no match. */
  #step(path: string, above: Uint8Array | undefined): Result {
    let ignored = false;
    let decidedBy = -1;
    let matched: Uint8Array | undefined;
    for (let i = 0; i < this.#lines.length; i++) {
      const pattern = this.#lines[i]?.pattern;
      if (pattern === undefined) continue;
      if (above?.[i] !== 1 && (pattern.negated !== ignored || !pattern.matches(path))) continue;
      matched ??= new Uint8Array(this.#lines.length);
      matched[i] = 1;
      ignored = !pattern.negated;
      decidedBy = i;
    }
    return matched === undefined ? untouched : { ignored, decidedBy, matched };
  }
}
