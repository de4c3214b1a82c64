import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { formatReference, parseReference } from '../../src/image/reference.ts';
import { openRegistriesConf } from '../../src/registry/registries-conf.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'slipway-conf-'));
});
afterEach(() => rmSync(home, { recursive: true }));

function put(path: string, text: string): string {
  const file = join(home, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
  return file;
}

const conf = (env: Record<string, string> = {}) => openRegistriesConf({ env, home, etc: join(home, 'etc') });

/** Places for a name, insecure ones marked. */
function places(
  name: string,
  access: 'pull' | 'push' = 'pull',
  env: Record<string, string> = {},
): readonly string[] {
  const reference = parseReference(name);
  return conf(env)
    .locate(reference, access, reference.digest ? 'digest' : 'tag')
    .map(place => `${place.domain}/${place.path}${place.insecure ? ' insecure' : ''}`);
}

const digest = `sha256:${'0'.repeat(64)}`;

describe('registries.conf', () => {
  it('that is missing changes nothing', () => {
    assert.deepEqual(places('reg.test/a/b'), ['reg.test/a/b']);
    assert.deepEqual(places('busybox'), ['docker.io/library/busybox']);
  });

  it('puts mirrors before the registry, for pulls only', () => {
    put(
      'etc/containers/registries.conf',
      `
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "mirror.test:5000/hub/"
insecure = true
[[registry.mirror]]
location = "second.test"
`,
    );
    assert.deepEqual(places('busybox'), [
      ...[
        'mirror.test:5000/hub/library/busybox insecure',
        'second.test/library/busybox',
        'docker.io/library/busybox',
      ],
    ]);
    assert.deepEqual(places('busybox', 'push'), ['docker.io/library/busybox']);
  });

  it('takes the longest prefix, which ends where a name does', () => {
    put(
      'etc/containers/registries.conf',
      `
[[registry]]
location = "reg.test"
insecure = true
[[registry]]
prefix = "reg.test/team"
location = "team.test/x"
[[registry]]
prefix = "reg.test/team/one"
location = "one.test/two"
`,
    );
    assert.deepEqual(places('reg.test/teams/a'), ['reg.test/teams/a insecure']);
    assert.deepEqual(places('reg.test/team/a'), ['team.test/x/a']);
    assert.deepEqual(places('reg.test/team/one'), ['one.test/two']);
    assert.deepEqual(places('reg.test:5000/team/a'), ['reg.test:5000/team/a']);
  });

  it('knows prefixes for all hosts of a domain', () => {
    put(
      'etc/containers/registries.conf',
      `
[[registry]]
prefix = "*.example.test"
insecure = true
[[registry.mirror]]
location = "mirror.test/cache"
[[registry]]
prefix = "*.moved.test"
location = "new.test"
`,
    );
    assert.deepEqual(places('a.b.example.test/x'), [
      'mirror.test/cache/x insecure'.replace(' insecure', ''),
      'a.b.example.test/x insecure',
    ]);
    assert.deepEqual(places('example.test/x'), ['example.test/x']);
    assert.deepEqual(places('old.moved.test:5000/x/y'), ['new.test/x/y']);
  });

  it('uses mirrors for tags or digests as they are meant', () => {
    put(
      'etc/containers/registries.conf',
      `
[[registry]]
location = "reg.test"
[[registry.mirror]]
location = "digests.test"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.test"
pull-from-mirror = "tag-only"
[[registry]]
location = "other.test"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.test"
`,
    );
    assert.deepEqual(places('reg.test/x:1'), ['tags.test/x', 'reg.test/x']);
    assert.deepEqual(places(`reg.test/x@${digest}`), ['digests.test/x', 'reg.test/x']);
    assert.deepEqual(places('other.test/x:1'), ['other.test/x']);
    assert.deepEqual(places(`other.test/x@${digest}`), ['m.test/x', 'other.test/x']);
  });

  it('blocks', () => {
    put('etc/containers/registries.conf', '[[registry]]\nlocation = "bad.test"\nblocked = true\n');
    assert.throws(() => places('bad.test/x'), {
      code: 'auth',
      message: 'bad.test/x is blocked by registries.conf',
    });
  });

  it('of the user goes before the system’s; drop-ins are added to either', () => {
    const one = (name: string) =>
      `[[registry]]\nlocation = "reg.test"\n[[registry.mirror]]\nlocation = "${name}"\n`;
    put('etc/containers/registries.conf', one('system.test'));
    assert.deepEqual(places('reg.test/x')[0], 'system.test/x');
    put('.config/containers/registries.conf', one('user.test'));
    assert.deepEqual(places('reg.test/x')[0], 'user.test/x');
    put('etc/containers/registries.conf.d/10-a.conf', one('a.test'));
    put('etc/containers/registries.conf.d/20-b.conf', one('b.test'));
    put('etc/containers/registries.conf.d/ignored.txt', one('c.test'));
    assert.deepEqual(places('reg.test/x'), ['b.test/x', 'reg.test/x']);
  });

  it('named by the environment is the only one, with its own drop-ins', () => {
    put(
      'etc/containers/registries.conf.d/10-a.conf',
      '[[registry]]\nlocation = "reg.test"\nblocked = true\n',
    );
    const file = put('mine.conf', '[[registry]]\nprefix = "reg.test"\nlocation = "mine.test"\n');
    assert.deepEqual(places('reg.test/x', 'pull', { CONTAINERS_REGISTRIES_CONF: file }), ['mine.test/x']);
    put('dir/x.conf', '[[registry]]\nprefix = "reg.test"\nlocation = "dir.test"\n');
    const env = { CONTAINERS_REGISTRIES_CONF: file, CONTAINERS_REGISTRIES_CONF_DIR: join(home, 'dir') };
    assert.deepEqual(places('reg.test/x', 'pull', env), ['dir.test/x']);
    assert.throws(() => places('x', 'pull', { CONTAINERS_REGISTRIES_CONF: join(home, 'none') }), {
      code: 'usage',
      message: /not there/,
    });
  });

  for (const [what, text, message] of [
    ['no TOML', '[[registry]\n', /registries\.conf cannot be used/],
    ['version 1', "[registries.search]\nregistries = ['x']\n", /version 1/],
    ['a registry without a place', '[[registry]]\ninsecure = true\n', /neither prefix nor location/],
    [
      'a flag that is text',
      '[[registry]]\nlocation = "x"\ninsecure = "yes"\n',
      /insecure is not true or false/,
    ],
    [
      'a mirror without a place',
      '[[registry]]\nlocation = "x"\n[[registry.mirror]]\n',
      /mirror has no location/,
    ],
    [
      'an unknown kind of mirror',
      '[[registry]]\nlocation = "x"\n[[registry.mirror]]\nlocation = "y"\npull-from-mirror = "z"\n',
      /not all, digest-only or tag-only/,
    ],
    ['a search list that is text', 'unqualified-search-registries = "x"\n', /not a list of names/],
  ] as const) {
    it(`with ${what} is an error that names the file`, () => {
      put('etc/containers/registries.conf', text);
      assert.throws(() => places('x'), { code: 'usage', message });
    });
  }
});

describe('short names', () => {
  const meaning = (name: string) => conf().candidates(name).map(formatReference);

  it('are names on Docker Hub unless something else is configured', () => {
    assert.deepEqual(meaning('busybox:1'), ['docker.io/library/busybox:1']);
  });

  it('have aliases, else are looked for in the search registries', () => {
    put(
      'etc/containers/registries.conf',
      'unqualified-search-registries = ["reg.test", "docker.io"]\n[aliases]\n"tool" = "quay.test/org/tool"\n',
    );
    put(
      'etc/containers/registries.conf.d/000-shortnames.conf',
      '[aliases]\n"fedora" = "registry.test/fedora"\n',
    );
    assert.deepEqual(meaning('tool:2'), ['quay.test/org/tool:2']);
    assert.deepEqual(meaning(`fedora@${digest}`), [`registry.test/fedora@${digest}`]);
    assert.deepEqual(meaning('busybox:1'), ['reg.test/busybox:1', 'docker.io/library/busybox:1']);
    assert.deepEqual(meaning('team/app'), ['reg.test/team/app', 'docker.io/team/app']);
    assert.deepEqual(meaning('docker.io/busybox'), ['docker.io/library/busybox']);
    assert.deepEqual(meaning('localhost/x'), ['localhost/x']);
  });
});
