// An ordinary user becomes root of a user namespace (user_namespaces(7)): its own id is 0 inside, its subordinate ids are
// the others. A process with threads, as node is, cannot enter one; so a helper makes the namespace and is given its ids,
// and then the program is started anew in it, in place: the process, its terminal and its parent stay the same.
import { closeSync, constants, openSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { BuildError, messageOf } from '../errors.ts';
import { check, declareC } from '../host/ffi.ts';
import {
  idMap,
  mapArguments,
  parseSubordinateIds,
  type Rootless,
  readIdFile,
  rootlessMark,
} from '../host/ids.ts';
import { findProgram } from '../host/probe.ts';
import { askProgram } from '../host/process.ts';
import { startHolder } from './launcher/holder.ts';
import { call, hasLauncher, makeLauncher, named, openExecutable } from './launcher/launcher.ts';
import { cloneFlags } from './launcher/supervise.ts';

/**
 * Starts this program anew as root of a user namespace, with the same arguments; returns only when that cannot be.
 * Nothing may have been read from stdin yet.
 * @param argv of the program to start: its path, then its arguments
 * @returns why there is no user namespace, one sentence
 */
export async function enterUserNamespace(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (!hasLauncher()) return `user namespaces are not known for ${process.arch} processors`;
  const uid = process.getuid?.() ?? 0;
  try {
    const made = await makeUserNamespace(uid, process.getgid?.() ?? 0);
    const mark = `${uid}:${made.ids}`;
    startAnew(made, argv, { ...env, [rootlessMark]: mark });
    return 'the program could not be started anew';
  } catch (error) {
    return messageOf(error);
  }
}

interface Made {
  /** Keeps the namespace in being. */
  readonly fd: number;
  readonly ids: Rootless['ids'];
}

/** @throws BuildError `sandbox`, system errors */
async function makeUserNamespace(uid: number, gid: number): Promise<Made> {
  using helper = await startHolder([named('make a user namespace', call('unshare', cloneFlags.newUser))]);
  const ids = await giveIds(helper.pid, uid, gid);
  return { fd: openSync(`/proc/${helper.pid}/ns/user`, constants.O_RDONLY), ids };
}

/** With subordinate ids where the user has them and the programs that may give them are there, else the user's own alone. */
async function giveIds(pid: number, uid: number, gid: number): Promise<Rootless['ids']> {
  const names = [nameOf(uid), String(uid)];
  const uids = parseSubordinateIds(readIdFile('/etc/subuid'), names);
  const gids = parseSubordinateIds(readIdFile('/etc/subgid'), names);
  const tools = ['newuidmap', 'newgidmap'].map(name => findProgram(name, process.env.PATH));
  const [newuidmap, newgidmap] = tools;
  if (uids.length > 0 && gids.length > 0 && newuidmap !== undefined && newgidmap !== undefined) {
    await mapWith(newuidmap, pid, mapArguments(idMap(uid, uids)));
    await mapWith(newgidmap, pid, mapArguments(idMap(gid, gids)));
    return 'full';
  }
  writeFileSync(`/proc/${pid}/setgroups`, 'deny');
  writeFileSync(`/proc/${pid}/uid_map`, `0 ${uid} 1`);
  writeFileSync(`/proc/${pid}/gid_map`, `0 ${gid} 1`);
  return 'single';
}

function nameOf(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid); // no entry in passwd
  }
}

async function mapWith(program: string, pid: number, ranges: readonly string[]): Promise<void> {
  const answer = await askProgram([program, String(pid), ...ranges]);
  if (answer.status === 0) return;
  throw new BuildError('sandbox', `${program} refused: ${answer.stderr.toString().trim()}`);
}

const F_SETFD = 2;

/** Replaces this process by a launcher that joins the namespace and becomes the program. */
function startAnew(made: Made, argv: readonly string[], env: Record<string, string | undefined>): void {
  const [program = '', ...args] = argv;
  const variables = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  const launcher = makeLauncher(
    [
      named('join the user namespace', call('setns', made.fd, cloneFlags.newUser)),
      call('close', made.fd),
      ...(made.ids === 'full' ? [call('setgroups', 0, 0)] : []),
      named(program, call('execve', program, [program, ...args], variables)),
    ],
    2,
  );
  using file = openExecutable(launcher.file);
  // Node marks the descriptors it was started with to be closed.
  const control = declareC('int fcntl(int fd, int command, int value)');
  for (const fd of [0, 1, 2, made.fd]) control(fd, F_SETFD, 0);
  try {
    const execute = declareC('int execve(const char *file, const char **argv, const char **env)');
    check((execute as unknown as Execute)(file.path, [file.path, null], [null]), 'execve', file.path);
  } finally {
    closeSync(made.fd);
  }
}

type Execute = (file: string, argv: readonly (string | null)[], env: readonly (string | null)[]) => number;
