// The frontend that a file names: the program that the reference implementation runs to read it. Here none is run.
// https://docs.docker.com/reference/dockerfile/#syntax
import type { Diagnostic, SourceFile } from '../errors.ts';
import { quoted } from './chars.ts';
import type { Directives } from './instructions.ts';

/** Frontends whose language is the one read here, whatever registry they come from. */
const OWN_FRONTEND = /(^|\/)docker\/dockerfile(-upstream)?([:@]|$)/;

export function checkSyntax({ syntax }: Directives): Diagnostic[] {
  if (syntax === undefined) return [];
  const found = foreignFrontend(syntax.raw);
  return found === undefined ? [] : [{ ...found, range: syntax.range }];
}

/**
 * A frontend of another language would be run by the reference implementation; here it is not.
 * @param syntax value of the directive, or of the build arg BUILDKIT_SYNTAX
 * @returns the warning without a place, undefined for the frontend whose language this is
 */
export function foreignFrontend(syntax: string): Diagnostic | undefined {
  const image = syntax.split(' ')[0] ?? '';
  if (OWN_FRONTEND.test(image)) return undefined;
  const message = `the frontend ${quoted(image)} is not run: the file is read as an ordinary Dockerfile`;
  return { severity: 'warning', rule: 'foreign-frontend', message };
}

/**
 * Files of other languages name their frontend in a comment of theirs (`// syntax=IMAGE`) or, in JSON, as `syntax`.
 * @returns what stands in for the errors that such a file has as a Dockerfile
 */
export function otherLanguage(file: SourceFile): Diagnostic | undefined {
  const syntax = syntaxInComment(file.text) ?? syntaxInJson(file.text);
  if (syntax === undefined || foreignFrontend(syntax) === undefined) return undefined;
  const [first = ''] = file.text.split('\n', 1);
  return {
    severity: 'error',
    rule: 'foreign-frontend',
    message: `the file is written for the frontend ${quoted(syntax.split(' ')[0] ?? '')}, which is not run`,
    hint: 'only Dockerfiles are read here',
    range: { file, start: { line: 1, column: 0 }, end: { line: 1, column: first.trimEnd().length } },
  };
}

function syntaxInComment(text: string): string | undefined {
  const comments = /^\ufeff?(?:#!.*\n)?((?:[\t ]*\/\/.*\n?)+)/.exec(text)?.[1];
  return /^[\t ]*\/\/[\t ]*syntax[\t ]*=[\t ]*(\S+)/im.exec(comments ?? '')?.[1];
}

function syntaxInJson(text: string): string | undefined {
  if (!/^\ufeff?\s*\{/.test(text)) return undefined;
  try {
    const { syntax } = JSON.parse(text.replace(/^\ufeff/, ''));
    return typeof syntax === 'string' ? syntax : undefined;
  } catch {
    return undefined;
  }
}
