// --chmod of COPY and ADD: octal digits, or symbolic as chmod(1) takes it
// (https://docs.docker.com/reference/dockerfile/#copy---chown---chmod).
import { BuildError, printable } from '../../errors.ts';

/** The new permission bits (0 to 0o7777) of something that has the bits `mode`. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

/** Without `ugoa` a clause leaves alone what this would mask. */
const umask = 0o022;

/** @throws BuildError `dockerfile` */
export function parseMode(text: string): ModeChange {
  if (/^\+?[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode > 0o7777) throw invalid(text);
    return () => mode;
  }
  if (/^[+-]?\d/.test(text)) throw invalid(text);
  const clauses = text.split(',').map(clause => parseClause(clause, text));
  return (mode, isDirectory) => clauses.reduce((bits, clause) => clause(bits, isDirectory), mode);
}

function invalid(text: string): BuildError {
  return new BuildError('dockerfile', `invalid --chmod value ${printable(JSON.stringify(text))}`, {
    hint: 'give octal digits from 0 to 07777, or a symbolic mode such as u=rwX,go=rX',
  });
}

function parseClause(clause: string, whole: string): ModeChange {
  const found = /^([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$/.exec(clause);
  if (found === null) throw invalid(whole);
  const who = found[1] ?? '';
  const actions = (found[2] ?? '').match(/[-+=][a-zX]*/g) ?? [];
  return (mode, isDirectory) =>
    actions.reduce((bits, action) => applyAction(bits, who, action, isDirectory), mode);
}

function applyAction(mode: number, who: string, action: string, isDirectory: boolean): number {
  const perms = action.slice(1);
  const reach = maskOf(who);
  const wanted = bitsOf(mode, perms, isDirectory) & reach & (who === '' ? ~umask : 0o7777);
  switch (action[0]) {
    case '+':
      return mode | wanted;
    case '-':
      return mode & ~wanted;
    default: {
      // A directory keeps setuid and setgid unless they are named, as chmod(1) does.
      const special = isDirectory ? 0o6000 & ~bitsOf(mode, perms, isDirectory) : 0;
      return (mode & ~(reach & ~special)) | wanted;
    }
  }
}

/** The bits that a clause for these classes may touch. */
function maskOf(who: string): number {
  if (who === '' || who.includes('a')) return 0o7777;
  let mask = 0;
  if (who.includes('u')) mask |= 0o4700;
  if (who.includes('g')) mask |= 0o2070;
  if (who.includes('o')) mask |= 0o1007;
  return mask;
}

function bitsOf(mode: number, perms: string, isDirectory: boolean): number {
  if (perms === 'u' || perms === 'g' || perms === 'o') {
    const shift = { u: 6, g: 3, o: 0 }[perms];
    return ((mode >> shift) & 7) * 0o111;
  }
  let bits = 0;
  for (const perm of perms) {
    if (perm === 'r') bits |= 0o444;
    if (perm === 'w') bits |= 0o222;
    if (perm === 'x' || (perm === 'X' && (isDirectory || (mode & 0o111) !== 0))) bits |= 0o111;
    if (perm === 's') bits |= 0o6000;
    if (perm === 't') bits |= 0o1000;
  }
  return bits;
}
