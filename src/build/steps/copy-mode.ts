// --chmod of COPY and ADD: octal digits, or symbolic as chmod(1) takes it
// (https://docs.docker.com/reference/dockerfile/#copy---chown---chmod).
import { BuildError, printable } from '../../errors.ts';

/** The new permission bits (0 to 0o7777) of something that has the bits `mode`. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

/** @throws BuildError `dockerfile` */
export function parseMode(text: string): ModeChange {
  if (/^\d/.test(text)) {
    const mode = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
    if (!(mode <= 0o7777)) throw invalid(text);
    return () => mode;
  }
  const commands = text === '' ? [] : text.split(',').flatMap(clause => parseClause(clause, text));
  return (mode, isDirectory) => {
    const executable = isDirectory || (mode & 0o111) !== 0;
    return commands.reduce((bits, command) => command(bits, executable), mode);
  };
}

/**
 * The mode of the destination and of the directories above it where they have to be made: as in BuildKit, octal digits count
 * without setuid, setgid and sticky, and a symbolic mode does not apply.
 */
export function newDirectoryMode(text: string): number {
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) & 0o777 : 0o755;
}

function invalid(text: string): BuildError {
  return new BuildError('dockerfile', `invalid --chmod value ${printable(JSON.stringify(text))}`, {
    hint: 'give octal digits from 0 to 07777, or a symbolic mode such as u=rwX,go=rX',
  });
}

/** @param executable before anything was changed, or a directory: what `X` asks for */
type Command = (mode: number, executable: boolean) => number;

/** The bits that `=` clears when it stands for everybody; the sticky bit stays, as in BSD's setmode(3). */
const standardBits = 0o6777;
const classes: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o0007, a: standardBits };
const permissions: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };
const shifts: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

function parseClause(clause: string, whole: string): Command[] {
  const found = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause);
  if (found === null) throw invalid(whole);
  const who = [...(found[1] ?? '')].reduce((bits, c) => bits | (classes[c] ?? 0), 0);
  const actions = (found[2] ?? '').match(/[-+=][a-zX]*/g) ?? [];
  return actions.flatMap(action => parseAction(who, action[0] ?? '', action.slice(1)));
}

/** One operator with its permissions; a class among them (`g=u`) is copied in turn. */
function parseAction(classBits: number, operator: string, perms: string): Command[] {
  // For others alone setuid, setgid and sticky mean nothing.
  const special = classBits === 0 || (classBits & ~0o7) !== 0;
  const letters = [...perms].filter(c => special || (c !== 's' && c !== 't'));
  const who = letters.includes('t') ? classBits | 0o1000 : classBits;
  const plain = letters
    .filter(c => c !== 'X' && !(c in shifts))
    .reduce((bits, c) => bits | (permissions[c] ?? 0), 0);
  const copied = letters.filter(c => c in shifts);
  const commands: Command[] = [];
  if (operator === '=' && (plain !== 0 || copied.length === 0))
    commands.push(mode => mode & ~(who || standardBits));
  if (plain !== 0) commands.push(changeBits(operator, (who || 0o7777) & plain));
  if (letters.includes('X')) {
    const change = changeBits(operator, (who || 0o7777) & 0o111);
    commands.push((mode, executable) => (executable ? change(mode, executable) : mode));
  }
  return [...commands, ...copied.map(from => copyClass(operator, who || standardBits, shifts[from] ?? 0))];
}

function changeBits(operator: string, bits: number): Command {
  return operator === '-' ? mode => mode & ~bits : mode => mode | bits;
}

/** Read, write and execute of one class for others; setuid, setgid and sticky are left alone. */
function copyClass(operator: string, who: number, shift: number): Command {
  const reach = who & 0o777;
  return mode => {
    const bits = (((mode >> shift) & 7) * 0o111) & reach;
    if (operator === '-') return mode & ~bits;
    return (operator === '=' ? mode & ~reach : mode) | bits;
  };
}
