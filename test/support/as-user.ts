// Runs programs as somebody else would: an ordinary user with or without subordinate ids, one who is refused user
// namespaces, root of an ordinary container. Everything is set up in a mount namespace that goes with the program;
// nothing of the machine is changed.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Ids that nobody on a test machine has. */
const UID = 63_210;
const FIRST_SUBORDINATE = 1_000_000;

export type Who = 'subordinate ids' | 'single id' | 'no namespaces' | 'container';

export interface Somebody {
  /** Own and writable. */
  readonly home: string;
  /** What to start so that `argv` runs as this somebody. */
  wrap(argv: readonly string[]): readonly string[];
  [Symbol.dispose](): void;
}

export function somebody(who: Who): Somebody {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-somebody-'));
  chmodSync(dir, 0o755);
  const home = join(dir, 'home');
  mkdirSync(home);
  if (who !== 'container') chownSync(home, UID, UID);
  const ids = join(dir, 'ids');
  writeFileSync(ids, who === 'subordinate ids' ? `${UID}:${FIRST_SUBORDINATE}:65536\n` : '');
  // newuidmap wants to know the user's name.
  const passwd = join(dir, 'passwd');
  writeFileSync(passwd, `root:x:0:0::/root:/bin/sh\nbuilder:x:${UID}:${UID}::${home}:/bin/sh\n`);
  mkdirSync(join(dir, 'root'));
  return {
    home,
    wrap: argv => wrap(who, dir, home, argv),
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function wrap(who: Who, dir: string, home: string, argv: readonly string[]): readonly string[] {
  if (who === 'container') return ['setpriv', '--bounding-set=-sys_admin', ...argv];
  const ids = 'mount --bind "$1/ids" /etc/subuid && mount --bind "$1/ids" /etc/subgid';
  // The kernel makes no user namespace for a process whose root is another than its mount namespace's.
  const enter =
    who === 'no namespaces'
      ? 'mount --rbind / "$1/root" && cd / && set -- "$@" && exec chroot "$1/root"'
      : 'exec';
  const user = `env HOME="$2" setpriv --reuid ${UID} --regid ${UID} --clear-groups`;
  const script = `${ids} && mount --bind "$1/passwd" /etc/passwd && ${enter} ${user} -- sh -c 'shift 2; exec "$@"' sh "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', dir, home, ...argv];
}
