// Snapshots by fuse-overlayfs (github.com/containers/fuse-overlayfs), a program that shows layers as the kernel's overlay
// would, for kernels and file systems that refuse theirs. It needs /dev/fuse and a mount namespace. The program ends with
// the mount, and with slipway.
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError, messageOf } from '../errors.ts';
import { mountsBelow, unmount } from '../host/mount.ts';
import { findProgram } from '../host/probe.ts';
import { call, named } from '../sandbox/launcher/launcher.ts';
import { launch, tied } from '../sandbox/launcher/supervise.ts';
import type { Snapshot, SnapshotDriver } from './driver.ts';
import { tidyFuseUpper } from './fuse-upper.ts';
import { likeBelow } from './overlay-format.ts';

const PROGRAM = 'fuse-overlayfs';
/** It takes some hundredths of a second; on a machine that is busy, more. */
const PATIENCE_MS = 20_000;
const POLL_MS = 2;

/** The driver; {@link enterMountNamespace} has been called before its first mount. @param path where programs are */
export function fuseOverlayDriver(path = process.env.PATH): SnapshotDriver {
  return {
    name: PROGRAM,
    async mount(lowers, upper, scratch) {
      const program = findProgram(PROGRAM, path);
      if (program === undefined) throw new BuildError('sandbox', `${PROGRAM} is not installed`);
      // The program itself says no more than that it may not mount.
      closeSync(openSync('/dev/fuse', 'r+'));
      return mountSnapshot(program, lowers, upper, scratch);
    },
  };
}

async function mountSnapshot(
  program: string,
  lowers: readonly string[],
  upper: string,
  scratch: string,
): Promise<Snapshot> {
  const at = (name: string) => join(scratch, name);
  const [root, work, empty, names] = [at('merged'), at('work'), at('empty'), at('names')] as const;
  const clean = () => {
    for (const dir of [root, work, empty, names]) rmSync(dir, { recursive: true, force: true });
  };
  try {
    for (const dir of [root, work, empty, names]) mkdirSync(dir, { mode: 0o700 });
    likeBelow(upper, lowers.at(-1));
    const layers = shortNames({ lowers: lowers.length === 0 ? [empty] : lowers, upper, work }, names);
    const begun = clockOf(names);
    const stop = await start(program, layers, root, names);
    const tidy = () => tidyFuseUpper(upper, lowers, { start: begun, end: clockOf(names) });
    return { root, close: closeOnce(root, stop, tidy, clean) };
  } catch (error) {
    unmount(root);
    clean();
    if (error instanceof BuildError) throw error;
    throw new BuildError('sandbox', `the layers cannot be mounted: ${messageOf(error)}`, { cause: error });
  }
}

/** Now, by the clock of the file system that `dir` is on. */
function clockOf(dir: string): bigint {
  chmodSync(dir, 0o700);
  return lstatSync(dir, { bigint: true }).ctimeNs;
}

function closeOnce(root: string, stop: () => Promise<void>, tidy: () => void, clean: () => void) {
  let open = true;
  return async () => {
    if (!open) return;
    open = false;
    const lost = whyLost(root);
    try {
      unmount(root);
      // Others may have a copy of the mount for a while (in a namespace that is being made): it would wait for them.
      await stop();
      if (lost !== undefined) throw new BuildError('sandbox', `${PROGRAM} ended before the step: ${lost}`);
      tidy();
    } finally {
      clean();
    }
  };
}

/** The program is asked; undefined when it answers. */
function whyLost(root: string): string | undefined {
  try {
    statfsSync(root);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** All layers have to fit into one argument, in which commas and colons mean something. */
function shortNames(
  dirs: { readonly lowers: readonly string[]; readonly upper: string; readonly work: string },
  names: string,
): string {
  const link = (path: string, name: string) => {
    symlinkSync(path, join(names, name));
    return name;
  };
  // What stands on top covers all that the same layer further down could add.
  const lowers = [...new Set([...dirs.lowers].reverse())].map((lower, i) => link(lower, i.toString(36)));
  return `lowerdir=${lowers.join(':')},upperdir=${link(dirs.upper, 'u_')},workdir=${link(dirs.work, 'w_')}`;
}

/**
 * Mounts. What is written goes to the program at once (no writeback), so that nothing is lost when it is ended.
 * @returns how to end the program
 * @throws BuildError `sandbox` with what the program says
 */
async function start(
  program: string,
  layers: string,
  root: string,
  names: string,
): Promise<() => Promise<void>> {
  const options = `${layers},dev,suid,writeback=0`;
  const stop = new AbortController();
  const said: Buffer[] = [];
  const argv = [program, '-f', '-o', options, root];
  let ended: string | undefined;
  const running = launch(
    [
      ...tied(process.pid),
      named(names, call('chdir', names)),
      named(program, call('execve', program, argv, [PATH])),
    ],
    { dir: names, signal: stop.signal, onOutput: (_stream, chunk) => said.push(chunk) },
  ).then(
    () => {
      ended = complaint(Buffer.concat(said).toString());
    },
    (error: unknown) => {
      ended = messageOf(error);
    },
  );
  const finish = async () => {
    stop.abort();
    await running;
  };
  const patience = performance.now() + PATIENCE_MS;
  while (!mountsBelow(root).includes(root)) {
    if (ended === undefined && performance.now() > patience) ended = 'it does not mount anything';
    if (ended !== undefined) {
      await finish();
      throw new BuildError('sandbox', `${PROGRAM}: ${ended}`);
    }
    await sleep(POLL_MS);
  }
  return finish;
}

/** It looks for fusermount3 where it may not mount by itself. */
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The last line that says something of what went wrong. */
function complaint(output: string): string {
  const lines = output.split('\n').map(line => line.trim());
  const line = lines.findLast(text => text !== '' && !text.startsWith('unknown argument ignored'));
  return line?.replace(/^fuse-overlayfs: /, '') ?? 'it ended at once';
}
