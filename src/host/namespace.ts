// A mount namespace of our own: what is mounted here is invisible outside and vanishes with the process, SIGKILL
// included. Only the calling thread moves (unshare(2)), together with the children and worker threads it makes later;
// libuv's pool threads stay where they were, so asynchronous fs calls do not see the mounts.
import { isMainThread } from 'node:worker_threads';
import { BuildError, messageOf } from '../errors.ts';
import { check, declareC } from './ffi.ts';
import { makePrivate } from './mount.ts';

const CLONE_NEWNS = 0x20000;

let entered = false;

/**
 * Moves this process's main thread into a mount namespace of its own; further calls do nothing.
 * @throws BuildError `sandbox` when the machine refuses, `internal` on a worker thread
 */
export function enterMountNamespace(): void {
  if (entered) return;
  if (!isMainThread)
    throw new BuildError('internal', 'a mount namespace can be entered on the main thread only');
  try {
    check(declareC('int unshare(int flags)')(CLONE_NEWNS), 'unshare');
    makePrivate('/');
  } catch (error) {
    throw new BuildError('sandbox', `no mount namespace could be made: ${messageOf(error)}`, {
      hint: 'run as root, or in a container that has CAP_SYS_ADMIN',
      cause: error,
    });
  }
  entered = true;
}

/** Whether {@link enterMountNamespace} has succeeded in this process. */
export function inMountNamespace(): boolean {
  return entered;
}
