// Runs a program as on a machine where another one is not installed. Nothing of the machine is changed.
import { realpathSync } from 'node:fs';
import { findProgram } from '../../src/host/probe.ts';

/** What to start so that `argv` does not find `name`. Needs root. */
export function withoutProgram(name: string, argv: readonly string[]): readonly string[] {
  const path = findProgram(name, process.env.PATH);
  if (path === undefined) return argv;
  const script = 'mount --bind /dev/null "$1" && shift && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', realpathSync(path), ...argv];
}
