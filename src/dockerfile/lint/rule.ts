// What a check is: data about it, an example each way, and a function that finds places.
// https://docs.docker.com/reference/build-checks/
import type { SourceRange } from '../../errors.ts';
import type { Instruction } from '../instructions.ts';
import type { Subject } from './subject.ts';

export interface Rule {
  /** Stable name, as `# check=skip=` takes it. */
  readonly name: string;
  /** One sentence for lists and documentation. */
  readonly description: string;
  /** Documentation; absent where there is none. */
  readonly url?: string;
  /** Off unless the check directive turns it on. */
  readonly experimental?: true;
  /** A Dockerfile in which it fires, and one like it in which it is silent. */
  readonly bad: string;
  readonly good: string;
  /** @returns what it found, in the order of the file */
  check(subject: Subject): Iterable<Finding>;
}

export interface Finding {
  readonly message: string;
  /** Where to look; it is in `instruction`. */
  readonly range: SourceRange;
  /** A `# check=skip=` comment above this one silences the finding. Absent: nothing does but the directive. */
  readonly instruction?: Instruction;
}

/** The documentation of a rule: the name in kebab case below one address. */
export function ruleUrl(name: string): string {
  const kebab = name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase();
  return `https://docs.docker.com/go/dockerfile/rule/${kebab}/`;
}

/** ` (did you mean X?)`, or nothing. */
export function meaning(suggestion: string | undefined, prefix = ''): string {
  return suggestion === undefined ? '' : ` (did you mean ${prefix}${suggestion}?)`;
}
