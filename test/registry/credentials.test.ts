import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { helperGet, helperList } from '../../src/registry/credential-helper.ts';
import { normalKey, openCredentials } from '../../src/registry/credentials.ts';
import { removeLogin, storeLogin } from '../../src/registry/login.ts';
import { never } from '../support/registries.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'slipway-home-'));
});
afterEach(() => rmSync(home, { recursive: true }));

const encode = (text: string) => Buffer.from(text).toString('base64');
const auth = (text: string) => ({ auth: encode(text) });

/** Writes a file below home. */
function put(path: string, content: unknown): string {
  const file = join(home, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

/** A credential helper that is a shell script; its environment is ours. */
function helper(name: string, script: string): void {
  chmodSync(put(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`), 0o755);
}

const env = (more: Record<string, string> = {}) => ({
  PATH: `${join(home, 'bin')}:/usr/bin:/bin`,
  HOME: home,
  ...more,
});

async function find(
  host: string,
  repository = 'app',
  more: Record<string, string> = {},
): Promise<string | undefined> {
  const found = await openCredentials({ env: env(more), home }).find(host, repository, never);
  if (found?.kind === 'password') return `${found.username}:${found.password}`;
  return found && `${found.kind} ${found.token}`;
}

describe('credentials in files', () => {
  it('are found where docker keeps them', async () => {
    put('.docker/config.json', {
      auths: {
        'https://index.docker.io/v1/': auth('hub:1'),
        'reg.test:5000': auth('port:2'),
        'https://old.test/v2/': auth('old:p:w'),
        'identity.test': { auth: encode('x:'), identitytoken: 'refresh' },
        'token.test': { registrytoken: 'ready' },
        'plain.test': { username: 'u', password: 'p' },
        'empty.test': {},
      },
    });
    assert.equal(await find('docker.io'), 'hub:1');
    assert.equal(await find('reg.test:5000'), 'port:2');
    assert.equal(await find('old.test'), 'old:p:w');
    assert.equal(await find('identity.test'), 'identity refresh');
    assert.equal(await find('token.test'), 'bearer ready');
    assert.equal(await find('plain.test'), 'u:p');
    assert.equal(await find('empty.test'), undefined);
  });

  it('are for exactly their host and port (RG-10)', async () => {
    put('.docker/config.json', {
      auths: { 'reg.test': auth('a:b'), 'https://index.docker.io/v1/': auth('hub:1') },
    });
    for (const host of [
      ...[
        'reg.test:443',
        'reg.test.',
        'evil-reg.test',
        'sub.reg.test',
        'reg.test.evil',
        'index.docker.io.evil',
        'docker.io.evil',
      ],
    ]) {
      assert.equal(await find(host), undefined, host);
    }
    assert.equal(await find('REG.test'), 'a:b');
  });

  it('for a path go before those for the host, the longest first', async () => {
    put('.docker/config.json', {
      auths: {
        'reg.test': auth('host:1'),
        'reg.test/team': auth('team:2'),
        'reg.test/team/app': auth('app:3'),
      },
    });
    assert.equal(await find('reg.test', 'other/x'), 'host:1');
    assert.equal(await find('reg.test', 'team/x'), 'team:2');
    assert.equal(await find('reg.test', 'team/app'), 'app:3');
    assert.equal(await find('reg.test', 'team/application'), 'team:2');
  });

  it('are read from the places that the environment names, in order', async () => {
    put('.docker/config.json', { auths: { 'reg.test': auth('docker:1') } });
    put('.config/containers/auth.json', { auths: { 'reg.test': auth('containers:2') } });
    assert.equal(await find('reg.test'), 'containers:2');
    put('run/containers/auth.json', { auths: { 'reg.test': auth('runtime:3') } });
    assert.equal(await find('reg.test', 'app', { XDG_RUNTIME_DIR: join(home, 'run') }), 'runtime:3');
    const file = put('mine.json', { auths: { 'reg.test': auth('mine:4') } });
    assert.equal(await find('reg.test', 'app', { REGISTRY_AUTH_FILE: file }), 'mine:4');
    const inline = JSON.stringify({ auths: { 'reg.test': auth('inline:5') } });
    assert.equal(
      await find('reg.test', 'app', { DOCKER_AUTH_CONFIG: inline, REGISTRY_AUTH_FILE: file }),
      'inline:5',
    );
    put('other/config.json', { auths: { 'only.test': auth('other:6') } });
    assert.equal(await find('only.test', 'app', { DOCKER_CONFIG: join(home, 'other') }), 'other:6');
  });

  for (const [what, text] of [
    ['no JSON', '{"auths": {"reg.test": {"auth": "c2VjcmV0"'],
    ['a list', '["c2VjcmV0"]'],
    ['no colon', JSON.stringify({ auths: { 'reg.test': { auth: 'c2VjcmV0' } } })],
    ['a line break in the name', JSON.stringify({ auths: { 'reg.test': auth('a\r\nb:secret') } })],
    ['auths that are text', JSON.stringify({ auths: 'c2VjcmV0' })],
  ] as const) {
    it(`that are ${what} are an error that names the file and not the secret`, async () => {
      const file = put('.docker/config.json', text);
      await assert.rejects(find('reg.test'), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'auth');
        assert.ok(error.message.includes(file));
        assert.doesNotMatch(error.message + String(error.cause), /c2VjcmV0|secret/);
        return true;
      });
    });
  }

  it('keys of Docker Hub and of old versions are the same as new ones', () => {
    for (const key of [
      'https://index.docker.io/v1/',
      'docker.io',
      'registry-1.docker.io',
      'https://index.docker.io/v2/',
    ]) {
      assert.equal(normalKey(key), 'docker.io');
    }
    assert.equal(normalKey('HTTPS://Reg.Test/'), 'reg.test');
    assert.equal(normalKey('reg.test/Team/x'), 'reg.test/Team/x');
  });
});

describe('RG-10: credential helpers', () => {
  it('are asked for their host, and Docker Hub under its old name', async () => {
    helper('echo', 'read server; echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"$server\\"}"');
    put('.docker/config.json', {
      credHelpers: { 'reg.test': 'echo' },
      credsStore: 'echo',
      auths: { 'reg.test': auth('file:1') },
    });
    assert.equal(await find('reg.test'), 'me:reg.test');
    assert.equal(await find('docker.io'), 'me:https://index.docker.io/v1/');
  });

  it('that know nothing leave it at that; a store falls back to the file', async () => {
    helper('none', 'echo "credentials not found in native keychain"; exit 1');
    put('.docker/config.json', {
      credHelpers: { 'own.test': 'none' },
      credsStore: 'none',
      auths: { 'reg.test': auth('file:1'), 'own.test': auth('file:2') },
    });
    assert.equal(await find('reg.test'), 'file:1');
    assert.equal(await find('own.test'), undefined);
  });

  it('may give an identity token', async () => {
    helper('token', 'echo \'{"Username":"<token>","Secret":"refresh"}\'');
    put('.docker/config.json', { credHelpers: { 'reg.test': 'token' } });
    assert.equal(await find('reg.test'), 'identity refresh');
  });

  it('that are not installed are named, and no other credentials are used', async () => {
    put('.docker/config.json', {
      credHelpers: { 'reg.test': 'missing' },
      auths: { 'https://index.docker.io/v1/': auth('hub:1'), 'reg.test': auth('file:1') },
    });
    await assert.rejects(find('reg.test'), {
      code: 'auth',
      message: /docker-credential-missing is not installed/,
    });
  });

  for (const name of ['../../x', 'a b', '', '/bin/sh', '..', 'x;y']) {
    it(`called ${JSON.stringify(name)} are not run`, async () => {
      put('.docker/config.json', { credHelpers: { 'reg.test': name } });
      await assert.rejects(find('reg.test'), {
        code: 'auth',
        message: /is not the name of a credential helper/,
      });
    });
  }

  for (const [what, script] of [
    ['fails with the secret in its words', 'echo s3cret >&2; echo s3cret; exit 3'],
    ['answers no JSON', 'echo s3cret'],
    ['answers a list', 'echo \'["s3cret"]\''],
    ['leaves out the name', 'echo \'{"Secret":"s3cret"}\''],
    ['never stops talking', 'yes s3cret'],
  ] as const) {
    it(`one that ${what} is an error that names it and not the secret`, async () => {
      helper('bad', script);
      put('.docker/config.json', { credsStore: 'bad' });
      await assert.rejects(find('reg.test'), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'auth');
        assert.match(error.message, /docker-credential-bad failed/);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      });
    });
  }

  it('one that hangs is ended', async () => {
    helper('slow', 'sleep 60');
    const asked = helperGet('slow', 'reg.test', env(), never, { timeoutMs: 200, maxBytes: 1000 });
    await assert.rejects(asked, { code: 'auth', message: /did not finish within 0.2 s/ });
  });

  it('can list what they have', async () => {
    helper('list', 'echo \'{"reg.test":"ada","n":1}\'');
    assert.deepEqual(await helperList('list', env(), never), { 'reg.test': 'ada' });
  });
});

describe('logging in', () => {
  it('keeps the password in the file for its owner alone, and everything else in it', async () => {
    const file = put('.docker/config.json', {
      auths: { 'other.test': auth('o:1'), 'https://reg.test/v1/': auth('old:1') },
      HttpHeaders: { x: 'y' },
    });
    chmodSync(file, 0o644);
    assert.equal(await storeLogin({ env: env(), home }, 'reg.test', 'ada', 'p:w', never), file);
    const json = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual(json, {
      auths: { 'other.test': auth('o:1'), 'reg.test': auth('ada:p:w') },
      HttpHeaders: { x: 'y' },
    });
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(await find('reg.test'), 'ada:p:w');
    assert.deepEqual(await removeLogin({ env: env(), home }, 'reg.test', never), [file]);
    assert.equal(await find('reg.test'), undefined);
    assert.equal(await find('other.test'), 'o:1');
    assert.deepEqual(await removeLogin({ env: env(), home }, 'reg.test', never), []);
  });

  it('to Docker Hub uses the key that docker reads', async () => {
    const file = await storeLogin({ env: env(), home }, 'docker.io', 'ada', 'pw', never);
    assert.deepEqual(Object.keys(JSON.parse(readFileSync(file, 'utf8')).auths), [
      'https://index.docker.io/v1/',
    ]);
  });

  it('through a link changes what it leads to', async () => {
    const real = put('dotfiles/config.json', '{}');
    mkdirSync(join(home, '.docker'));
    symlinkSync(real, join(home, '.docker/config.json'));
    await storeLogin({ env: env(), home }, 'reg.test', 'ada', 'pw', never);
    assert.match(readFileSync(real, 'utf8'), /reg\.test/);
  });

  it('uses the helper when one is configured, and the file holds no password', async () => {
    helper('keep', `cat > ${home}/kept-$1`);
    const file = put('.docker/config.json', { credsStore: 'keep' });
    assert.equal(
      await storeLogin({ env: env(), home }, 'reg.test', 'ada', 's3cret', never),
      'docker-credential-keep',
    );
    assert.deepEqual(JSON.parse(readFileSync(join(home, 'kept-store'), 'utf8')), {
      ServerURL: 'reg.test',
      Username: 'ada',
      Secret: 's3cret',
    });
    assert.doesNotMatch(readFileSync(file, 'utf8'), /s3cret|czNjcmV0/);
    assert.deepEqual(await removeLogin({ env: env(), home }, 'reg.test', never), ['docker-credential-keep']);
    assert.equal(readFileSync(join(home, 'kept-erase'), 'utf8'), 'reg.test');
  });

  it('leaves a damaged file as it is', async () => {
    const file = put('.docker/config.json', '{"auths":');
    await assert.rejects(storeLogin({ env: env(), home }, 'reg.test', 'ada', 'pw', never), { code: 'auth' });
    assert.equal(readFileSync(file, 'utf8'), '{"auths":');
    assert.ok(!existsSync(`${file}.${process.pid}.tmp`));
  });

  it('refuses names that cannot be kept', async () => {
    for (const name of ['', 'a:b', 'a\nb']) {
      await assert.rejects(storeLogin({ env: env(), home }, 'reg.test', name, 'pw', never), {
        code: 'usage',
      });
    }
  });
});
