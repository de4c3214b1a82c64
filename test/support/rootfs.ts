// A small root file system with a real shell: Debian's static busybox with a link for each of its programs.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A temporary directory that `using` removes. */
export function tempDir(prefix = 'slipway-test-'): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), prefix));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Fills `dir` with /bin (busybox), /etc/passwd, /etc/group and /tmp; nothing that is mounted on is there. */
export function makeRootfs(dir: string): string {
  for (const name of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(dir, name), { recursive: true });
  chmodSync(dir, 0o755);
  copyFileSync('/usr/bin/busybox', join(dir, 'bin/busybox'));
  const list = spawnSync('/usr/bin/busybox', ['--list'], { encoding: 'utf8' }).stdout.split('\n');
  for (const name of list.filter(name => name !== '' && name !== 'busybox')) {
    symlinkSync('busybox', join(dir, 'bin', name));
  }
  chmodSync(join(dir, 'tmp'), 0o1777);
  writeFileSync(
    join(dir, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
  );
  writeFileSync(join(dir, 'etc/group'), 'root:x:0:\napp:x:1000:\n');
  return dir;
}
