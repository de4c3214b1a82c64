// Runs programs as somebody else would: an ordinary user with or without subordinate ids, one who is refused user
// namespaces, root of a container, root or a user of one that is confined as Docker does it. Everything is set up in a mount namespace that goes with the program;
// nothing of the machine is changed.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultCapabilities } from '../../src/sandbox/defaults.ts';

/** Ids that nobody on a test machine has. */
const UID = 63_210;
const FIRST_SUBORDINATE = 1_000_000;

/**
 * container: root without CAP_SYS_ADMIN. docker container: root with Docker's capabilities and filter, which refuses user
 * namespaces too. docker container, user: an ordinary user there, without a way to more rights, as in locked-down pods.
 */
export type Who =
  | 'subordinate ids'
  | 'single id'
  | 'no namespaces'
  | 'container'
  | 'docker container'
  | 'docker container, user';

const isRoot = (who: Who) => who === 'container' || who === 'docker container';

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
  if (!isRoot(who)) chownSync(home, UID, UID);
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

const dockerFilter = [process.execPath, fileURLToPath(new URL('./under-docker-filter.js', import.meta.url))];
const dockerCapabilities = `--bounding-set=-all,${defaultCapabilities.map(name => `+${name.toLowerCase()}`)}`;

function wrap(who: Who, dir: string, home: string, argv: readonly string[]): readonly string[] {
  if (who === 'container') return ['setpriv', '--bounding-set=-sys_admin', ...argv];
  if (who === 'docker container') return [...dockerFilter, 'setpriv', dockerCapabilities, ...argv];
  const ids = 'mount --bind "$1/ids" /etc/subuid && mount --bind "$1/ids" /etc/subgid';
  // The kernel makes no user namespace for a process whose root is another than its mount namespace's.
  const enter =
    who === 'no namespaces'
      ? 'mount --rbind / "$1/root" && cd / && set -- "$@" && exec chroot "$1/root"'
      : who === 'docker container, user'
        ? `exec ${dockerFilter.join(' ')} setpriv --no-new-privs ${dockerCapabilities}`
        : 'exec';
  const user = `env HOME="$2" setpriv --reuid ${UID} --regid ${UID} --clear-groups`;
  const script = `${ids} && mount --bind "$1/passwd" /etc/passwd && ${enter} ${user} -- sh -c 'shift 2; exec "$@"' sh "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', dir, home, ...argv];
}
