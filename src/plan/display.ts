// The line that people read while an instruction runs: `COPY package.json ./`, `RUN npm ci`.
import type { Instruction } from '../dockerfile/instructions.ts';
import { type Escape, expandWord } from '../dockerfile/words.ts';
import { withoutPasswords } from '../errors.ts';
import type { StageState } from './state.ts';

/** Kinds whose text no variable is replaced in. */
const verbatim = new Set<Instruction['kind']>([
  'cmd',
  'entrypoint',
  'healthcheck',
  'shell',
  'maintainer',
  'onbuild',
  'arg',
]);

/** The instruction on one line, variables replaced as far as they are known. */
export function displayOf(line: Instruction, state: StageState, escapeChar: Escape): string {
  const text = upperCaseKeyword(line.original);
  if (line.kind === 'run') return fillIn(text, state.scope.env) + heredocSummary(line.command);
  if (verbatim.has(line.kind)) return text;
  try {
    return withoutPasswords(expandWord(text, state.scope.env, escapeChar).value);
  } catch {
    return withoutPasswords(text);
  }
}

function upperCaseKeyword(text: string): string {
  return text.replace(/^\S+/, keyword => keyword.toUpperCase());
}

/** `$name` and `${name}` of a shell line replaced where set; everything else, quotes included, stays. */
function fillIn(text: string, env: ReadonlyMap<string, string>): string {
  return text.replace(
    /'[^']*'|\\.|\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})/g,
    (whole, name, braced) => env.get(name ?? braced ?? '') ?? whole,
  );
}

/** A heredoc that is the whole command shows its first line. */
function heredocSummary(command: (Instruction & { readonly kind: 'run' })['command']): string {
  if (command.form === 'exec') return '';
  const [only] = command.heredocs;
  if (only === undefined || !isOnlyHeredoc(command.line)) return '';
  const lines = only.body.trim().split(/\r?\n/);
  return ` (${lines[0]}${lines.length > 1 ? '...' : ''})`;
}

/** The line is `<<WORD` and nothing else. */
export function isOnlyHeredoc(line: string): boolean {
  return /^\s*\d*<<-?\s*(?:[^\s<'"]|'[^']*'|"[^"]*")+\s*$/.test(line);
}
