// Modes, owners, devices, attributes and times (B-17, B-18, B-19, EX-19): applied as they are, never to the wrong file.
import assert from 'node:assert/strict';
import { lstatSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { getXattr, listXattrs } from '../../src/host/fs-calls.ts';
import { inArena } from '../support/canary.ts';
import { directory, file, header, pax, record, symlink } from '../support/tar-bytes.ts';

const capability = '\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00';

describe('extraction of metadata', () => {
  it(
    'keeps setuid, setgid and sticky bits although it changes the owner, whatever the umask',
    inArena(({ extract, root }) => {
      const before = process.umask(0o077);
      try {
        extract([
          file('u', 'x', { mode: 0o4755, uid: 12, gid: 34 }),
          directory('t', { mode: 0o3777, uid: 5 }),
          file('t/f'),
        ]);
      } finally {
        process.umask(before);
      }
      const stat = lstatSync(join(root, 'u'));
      assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o4755, 12, 34]);
      assert.equal(lstatSync(join(root, 't')).mode & 0o7777, 0o3777);
      assert.equal(lstatSync(join(root, 't/f')).mode & 0o7777, 0o644);
    }),
  );
  it(
    'leaves the owner to the caller when asked, and the capabilities away',
    inArena(({ extract, root }) => {
      extract(
        [
          pax(record('SCHILY.xattr.security.capability', capability)),
          file('f', 'x', { uid: 12, gid: 34, mode: 0o600 }),
          directory('d', { uid: 9, mode: 0o555 }),
          file('d/x'),
        ],
        {
          ownership: 'caller',
        },
      );
      const stat = lstatSync(join(root, 'f'));
      assert.deepEqual(
        [stat.uid, stat.gid, stat.mode & 0o777],
        [process.getuid?.(), process.getgid?.(), 0o600],
      );
      assert.equal(getXattr(join(root, 'f'), 'security.capability'), undefined);
      assert.equal(lstatSync(join(root, 'd')).uid, process.getuid?.());
    }),
  );
  it(
    'keeps ids above 2^31',
    inArena(({ extract, root }) => {
      extract([pax(record('uid', '4294967294') + record('gid', '3000000000')), file('f')]);
      const stat = lstatSync(join(root, 'f'));
      assert.deepEqual([stat.uid, stat.gid], [4294967294, 3000000000]);
    }),
  );
  it(
    'keeps capabilities and user attributes byte for byte',
    inArena(({ extract, root }) => {
      const bytes = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i));
      const body =
        record('SCHILY.xattr.security.capability', capability) + record('SCHILY.xattr.user.bytes', bytes);
      extract([
        pax(body),
        file('f', 'x', { uid: 3 }),
        pax(record('SCHILY.xattr.user.d', '1')),
        directory('d'),
      ]);
      assert.equal(getXattr(join(root, 'f'), 'security.capability'), capability);
      assert.equal(getXattr(join(root, 'f'), 'user.bytes'), bytes);
      assert.equal(getXattr(join(root, 'd'), 'user.d'), '1');
    }),
  );
  it(
    'never sets attributes that only overlay may set',
    inArena(({ extract, root }) => {
      const names = [
        'trusted.overlay.opaque',
        'trusted.overlay.redirect',
        'user.overlay.opaque',
        'user.overlay.metacopy',
        'trusted.x',
        'security.selinux',
      ];
      const body = names.map(name => record(`SCHILY.xattr.${name}`, 'y')).join('');
      for (const whiteouts of ['apply', 'overlay', 'literal'] as const) {
        extract([pax(body), directory('d'), pax(body), file('d/f')], { whiteouts });
        assert.deepEqual(listXattrs(join(root, 'd')), []);
        assert.deepEqual(listXattrs(join(root, 'd/f')), []);
      }
    }),
  );
  it(
    'does not let a default ACL reach what is extracted into the directory',
    inArena(({ extract, root }) => {
      // Version 2: user::rwx, group::rwx, other::rwx.
      const acl =
        '\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x04\0\x07\0\xff\xff\xff\xff\x20\0\x07\0\xff\xff\xff\xff';
      extract([
        pax(record('SCHILY.xattr.system.posix_acl_default', acl)),
        directory('d'),
        file('d/f', '', { mode: 0o600 }),
      ]);
      assert.equal(getXattr(join(root, 'd'), 'system.posix_acl_default'), acl);
      assert.equal(lstatSync(join(root, 'd/f')).mode & 0o777, 0o600);
      assert.deepEqual(listXattrs(join(root, 'd/f')), []);
    }),
  );
  it(
    'keeps times, also before 1970, to the nanosecond, of directories as well',
    inArena(({ extract, root }) => {
      extract([
        pax(record('mtime', '-86400')),
        directory('d'),
        pax(record('mtime', '-1.5')),
        file('d/f'),
        pax(record('mtime', '1700000000.123456789')),
        symlink('d/s', 'f'),
        file('d/zero', '', { mtime: 0 }),
      ]);
      const time = (path: string): bigint => lstatSync(join(root, path), { bigint: true }).mtimeNs;
      assert.equal(time('d'), -86_400_000_000_000n);
      assert.equal(time('d/f'), -1_500_000_000n);
      assert.equal(time('d/s'), 1_700_000_000_123_456_789n);
      assert.equal(time('d/zero'), 0n);
    }),
  );
  it(
    'clamps a time that no file system holds, and goes on',
    inArena(({ extract, root }) => {
      extract([
        pax(record('mtime', '9007199254740991')),
        file('far'),
        pax(record('mtime', '-9007199254740991')),
        file('past'),
      ]);
      assert.ok(statSync(join(root, 'far')).mtimeMs > Date.now());
      assert.ok(statSync(join(root, 'past')).mtimeMs < 0);
    }),
  );
  it(
    'makes devices and fifos without opening them',
    inArena(({ extract, root, list }) => {
      extract([
        header({ name: 'null', type: '3', major: 1, minor: 3, mode: 0o666 }),
        header({ name: 'disk', type: '4', major: 0xfff, minor: 0xfffff, mode: 0o600, uid: 4 }),
        header({ name: 'fifo', type: '6', mode: 0o622, mtime: 3 }),
        file('fifo2', 'x'),
        header({ name: 'fifo2', type: '6' }),
        file('fifo2', 'y'),
      ]);
      assert.deepEqual(list(), { disk: 'b', fifo: 'p', fifo2: 'f', null: 'c' });
      assert.equal(lstatSync(join(root, 'null')).mode & 0o7777, 0o666);
      assert.equal(lstatSync(join(root, 'disk')).uid, 4);
      assert.deepEqual(
        [lstatSync(join(root, 'fifo')).mode & 0o777, lstatSync(join(root, 'fifo')).mtimeMs],
        [0o622, 3000],
      );
    }),
  );
});
