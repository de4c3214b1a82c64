// Collects what is wrong with a Dockerfile, so that one run reports all of it.

import { WordError } from '../dockerfile/words.ts';
import { BuildError, type Diagnostic, type ErrorDetails, type SourceRange } from '../errors.ts';

/** @returns an error about the Dockerfile at `range` */
export function invalid(
  message: string,
  range: SourceRange,
  details: Omit<ErrorDetails, 'range'> = {},
): BuildError {
  return new BuildError('dockerfile', message, { ...details, range });
}

/** Runs `action`; an error of the word expansion becomes one about the Dockerfile at `range`. */
export function at<T>(range: SourceRange, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof WordError) throw invalid(error.message, range, { cause: error });
    if (error instanceof BuildError && error.range === undefined) {
      const { hint, facts } = error;
      throw new BuildError(error.code === 'usage' ? 'dockerfile' : error.code, error.message, {
        range,
        facts,
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      });
    }
    throw error;
  }
}

/** After so many the rest is not looked at. */
const maxProblems = 50;

export class Problems {
  readonly #found: BuildError[] = [];

  /** Runs `action`; a BuildError is kept for later and gives undefined, until there are too many. */
  attempt<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      this.#found.push(error);
      if (this.#found.length >= maxProblems) this.throwIfAny();
      return undefined;
    }
  }

  get isEmpty(): boolean {
    return this.#found.length === 0;
  }

  /** What was found elsewhere. */
  add(found: readonly BuildError[]): void {
    this.#found.push(...found);
  }

  /** @throws BuildError the first problem by place, with the others as its diagnostics, when there was any */
  throwIfAny(): void {
    const [first, ...others] = inOrder(this.#found).slice(0, maxProblems);
    if (first === undefined) return;
    if (others.length === 0) throw first;
    throw new BuildError(first.code, first.message, {
      facts: first.facts,
      cause: first,
      ...(first.hint === undefined ? {} : { hint: first.hint }),
      ...(first.range === undefined ? {} : { range: first.range }),
      diagnostics: [...first.diagnostics, ...others.flatMap(asDiagnostics)],
    });
  }
}

/** By place, the same thing at the same place once. */
function inOrder(found: readonly BuildError[]): BuildError[] {
  const line = ({ range }: BuildError) => range?.start.line ?? 0;
  const column = ({ range }: BuildError) => range?.start.column ?? 0;
  const unique = new Map(found.map(each => [`${line(each)}:${column(each)} ${each.message}`, each]));
  return [...unique.values()].sort((a, b) => line(a) - line(b) || column(a) - column(b));
}

function asDiagnostics(error: BuildError): Diagnostic[] {
  const own: Diagnostic = {
    severity: 'error',
    rule: 'plan',
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.range === undefined ? {} : { range: error.range }),
  };
  return [own, ...error.diagnostics];
}
