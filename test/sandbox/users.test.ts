// USER and --chown against the image's own passwd and group.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { type ReadImageFile, resolveOwner, resolveUser } from '../../src/sandbox/users.ts';

const passwd = `root:x:0:0:root:/root:/bin/sh
# a comment

app:x:1000:1001:App:/home/app:/bin/sh
app:x:7:7:second of the same name:/nowhere:/bin/sh
1000:x:0:0:digits as a name:/root:/bin/sh
4294967296:x:0:0:too large as a name:/root:/bin/sh
wide:x:4294967296:0:id that wraps to 0:/:/bin/sh
empty:x:::no ids:/:/bin/sh
junk:x:1e3:0:no number:/:/bin/sh
short:x
naïve:x:1100:1100::/home/n:/bin/sh
`;
const group = `root:x:0:
app:x:1001:
audio:x:29:app,other
video:x:44:other,app
wheel:x:0:app
again:x:29:app
staff:x:50:
50:x:0:digits as a name
bad:x:no:app
`;

const image: ReadImageFile = path => Buffer.from(path === '/etc/passwd' ? passwd : group);
const empty: ReadImageFile = () => undefined;

function refused(code: string, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof BuildError);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

describe('USER', () => {
  const cases: [string, number, number, number[], string, string | undefined][] = [
    ['', 0, 0, [], '/root', 'root'],
    ['root', 0, 0, [], '/root', 'root'],
    ['app', 1000, 1001, [29, 44, 0], '/home/app', 'app'],
    ['app:staff', 1000, 50, [], '/home/app', 'app'],
    ['app:44', 1000, 44, [], '/home/app', 'app'],
    ['1000', 1000, 1001, [29, 44, 0], '/home/app', 'app'],
    ['1000:1000', 1000, 1000, [], '/home/app', 'app'],
    ['1000:50', 1000, 50, [], '/home/app', 'app'],
    ['4242', 4242, 0, [], '/', undefined],
    ['4242:audio', 4242, 29, [], '/', undefined],
    ['4294967294', 4294967294, 0, [], '/', undefined],
    ['2147483648:2147483648', 2147483648, 2147483648, [], '/', undefined],
    ['0007', 7, 7, [29, 44, 0], '/nowhere', 'app'],
    ['naïve', 1100, 1100, [], '/home/n', 'naïve'],
    [':staff', 0, 50, [], '/root', 'root'],
    ['app:', 1000, 1001, [29, 44, 0], '/home/app', 'app'],
  ];
  for (const [user, uid, gid, groups, home, name] of cases) {
    test(`${user || '(nothing)'} is ${uid}:${gid} with groups ${groups.join(' ') || 'none'}`, () => {
      assert.deepEqual(resolveUser(user, image), { uid, gid, groups, home, name });
    });
  }

  for (const user of [
    '4294967295',
    '4294967296',
    '99999999999999999999',
    '-1',
    '+1',
    '1:-1',
    '1:4294967295',
  ]) {
    test(`${user} is out of range, never root`, () => {
      assert.throws(() => resolveUser(user, image), refused('dockerfile', /is no user or group id/));
    });
  }

  for (const user of [
    'nobody',
    '0x0',
    '1e3',
    ' 1',
    '１',
    'wide',
    'empty',
    'junk',
    'short',
    'app:nobody',
    'App',
  ]) {
    test(`${JSON.stringify(user)} is unknown, never root`, () => {
      assert.throws(
        () => resolveUser(user, image),
        refused('not-found', /is not in \/etc\/(passwd|group) of the image/),
      );
    });
  }

  test('an image without passwd and group knows numbers only', () => {
    assert.deepEqual(resolveUser('5:6', empty), { uid: 5, gid: 6, groups: [], home: '/', name: undefined });
    assert.throws(() => resolveUser('root', empty), refused('not-found', /root is not in/));
  });

  test('a passwd of more than 10 MiB is refused', () => {
    const huge: ReadImageFile = () => Buffer.alloc((10 << 20) + 1, 'x');
    assert.throws(
      () => resolveUser('app', huge),
      refused('hostile', /\/etc\/passwd of the image is too large/),
    );
  });

  test('names from the image are made visible in messages', () => {
    assert.throws(() => resolveUser('a\u001b[2J', image), refused('not-found', /a\\u001b\[2J/));
  });
});

describe('--chown', () => {
  const cases: [string, number, number][] = [
    ['app', 1000, 1001],
    ['app:staff', 1000, 50],
    ['55', 55, 55],
    ['1000', 1000, 1000],
    ['55:66', 55, 66],
    ['55:audio', 55, 29],
    ['app:', 1000, 0],
    ['55:', 55, 0],
    [':', 0, 0],
    ['0', 0, 0],
    ['50:50', 50, 50],
  ];
  for (const [chown, uid, gid] of cases) {
    test(`${chown} is ${uid}:${gid}`, () => assert.deepEqual(resolveOwner(chown, image), { uid, gid }));
  }

  test('numbers need no passwd', () => assert.deepEqual(resolveOwner('7', empty), { uid: 7, gid: 7 }));

  test('unknown names and impossible numbers are refused', () => {
    assert.throws(() => resolveOwner('nobody', image), refused('not-found', /nobody/));
    assert.throws(() => resolveOwner('4294967295:0', image), refused('dockerfile', /4294967295/));
  });
});
