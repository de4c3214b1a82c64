// A Dockerfile as a small JSON value: what the corpus under test/corpus/dockerfile compares. Texts are what they
// say; the place is kept for whole instructions only.

import type { Dockerfile, Instruction } from '../../src/dockerfile/instructions.ts';
import type { SourceRange } from '../../src/errors.ts';

/** `line:column-line:column`, lines from 1, columns from 0. */
export function placeOf({ start, end }: SourceRange): string {
  return `${start.line}:${start.column}-${end.line}:${end.column}`;
}

export function projectDockerfile(dockerfile: Dockerfile): unknown {
  const { directives, globalArgs, stages, diagnostics } = dockerfile;
  const warnings = diagnostics.map(
    ({ rule, range }) => `${range === undefined ? '' : placeOf(range)} ${rule}`,
  );
  return {
    ...(simplify(directives) as object),
    ...(globalArgs.length === 0 ? {} : { args: globalArgs.map(projectInstruction) }),
    stages: stages.map(({ name, from, instructions }) => ({
      ...(name === undefined ? {} : { name }),
      from: projectInstruction(from),
      instructions: instructions.map(projectInstruction),
    })),
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

export function projectInstruction(instruction: Instruction): unknown {
  const { kind, range, keyword, original, comments, skip, ...fields } = instruction;
  return {
    [kind]: placeOf(range),
    ...(keyword.raw === keyword.raw.toUpperCase() ? {} : { keyword: keyword.raw }),
    ...(comments.length === 0 ? {} : { comments }),
    ...(skip.length === 0 ? {} : { skip }),
    ...(simplify(fields) as object),
  };
}

/** Texts become strings; places and empty lists vanish. */
function simplify(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(simplify);
  if (typeof value !== 'object' || value === null) return value;
  if ('raw' in value) return value.raw;
  if ('kind' in value) return projectInstruction(value as Instruction);
  if ('fields' in value)
    return simplifyMount(value as { fields: { key: string; value: string }[]; type: string });
  const entries = Object.entries(value).filter(([key, item]) => key !== 'range' && !isEmptyList(item));
  return Object.fromEntries(entries.map(([key, item]) => [key, simplify(item)]));
}

function simplifyMount({ fields, type }: { fields: { key: string; value: string }[]; type: string }): string {
  return `${type}: ${fields.map(({ key, value }) => `${key}=${value}`).join(' ')}`;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}
