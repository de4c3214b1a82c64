// What every rung says when the command itself cannot be started.
import { BuildError, printable } from '../errors.ts';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'was not found in the image',
  ENOTDIR: 'was not found in the image',
  EACCES: 'is not executable for this user',
  ENOEXEC: 'is no program that this machine can run',
  EISDIR: 'is a directory',
  ELOOP: 'is a symbolic link that leads nowhere',
};

/** @param errno name of what execve(2) failed with */
export function commandError(command: string, errno: string): BuildError {
  const why = reasons[errno] ?? `cannot be started (${errno})`;
  const hint =
    errno === 'ENOEXEC'
      ? { hint: 'it may be for another architecture, or a script without a #! line' }
      : errno === 'ENOENT'
        ? { hint: 'a script may also name an interpreter that the image does not have' }
        : {};
  return new BuildError('run', `the command ${printable(command)} ${why}`, { ...hint, facts: { errno } });
}
