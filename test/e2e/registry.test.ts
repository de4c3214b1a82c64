// Registries through the command line: logging in, pushing, pulling, and what is said when something is wrong.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { MemoryRegistry } from '../support/memory-registry.ts';
import { type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { startSocksServer } from '../support/socks-server.ts';
import { type Authority, makeAuthority } from '../support/tls.ts';
import { startTokenServer } from '../support/token-server.ts';

const password = 'p:w ö';

let dir: string;
let authority: Authority;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'slipway-e2e-registry-'));
  authority = makeAuthority(join(dir, 'ca'));
  mkdirSync(join(dir, 'certs'));
  writeFileSync(join(dir, 'certs/ca.crt'), authority.pem);
});
after(() => rmSync(dir, { recursive: true, force: true }));

const certs = () => ['--cert-dir', join(dir, 'certs')];

/** Nothing of this machine's configuration. */
function fresh(env: Record<string, string> = {}): Program {
  const home = mkdtempSync(join(dir, 'home-'));
  return program({ HOME: home, XDG_CONFIG_HOME: join(home, '.config'), XDG_RUNTIME_DIR: home, ...env });
}

/** Builds an image with one file in it. */
async function build(slipway: Program, name: string, content: string): Promise<void> {
  const context = mkdtempSync(join(slipway.dir, 'context-'));
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY file /file\n');
  writeFileSync(join(context, 'file'), content);
  await slipway.must(['build', '-q', '-t', name, context]);
}

describe('a registry with a private authority and passwords', () => {
  let registry: RunningRegistry;
  before(async () => {
    const tls = authority.issue('registry', ['IP:127.0.0.1', 'DNS:registry.test']);
    registry = await startDockerRegistry({ tls, htpasswd: { username: 'ada', password } });
  });
  after(() => registry[Symbol.asyncDispose]());

  const login = (slipway: Program, input: string, ...more: string[]) =>
    slipway.run(['login', '-u', 'ada', '--password-stdin', ...certs(), ...more, registry.host], { input });

  it('lets in who logged in, and nobody after the logout', async () => {
    using slipway = fresh();
    const name = `${registry.host}/team/app:1`;
    const ended = await login(slipway, `${password}\n`);
    assert.equal(ended.status, 0, ended.stderr);
    assert.equal(ended.stdout, 'Login Succeeded\n');
    const kept = join(slipway.dir, 'docker-config/config.json');
    assert.match(ended.stderr, new RegExp(`stored unencrypted in '${kept}'`));
    assert.equal(statSync(kept).mode & 0o777, 0o600);
    await build(slipway, name, 'hello');
    const pushed = await slipway.must(['push', ...certs(), name]);
    using other = fresh({ DOCKER_CONFIG: join(slipway.dir, 'docker-config') });
    const pulled = await other.must(['pull', ...certs(), name]);
    assert.ok((pulled.stdout + pulled.stderr).includes(pushed.stdout.trim().split('\n').at(-1) ?? '-'));
    const again = await slipway.run(['login', ...certs(), registry.host]);
    assert.equal(again.stdout, 'Login Succeeded\n');
    assert.match(again.stderr, /existing credentials.*ada/);
    const out = await slipway.must(['logout', registry.host]);
    assert.equal(out.stdout, `Removing login credentials for ${registry.host}\n`);
    assert.deepEqual(JSON.parse(readFileSync(kept, 'utf8')), { auths: {} });
    const refused = await other.run(['pull', ...certs(), name]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, new RegExp(`slipway login ${registry.host}`));
    const none = await slipway.must(['logout', registry.host]);
    assert.equal(none.stdout, `Not logged in to ${registry.host}\n`);
  });

  it('keeps nothing of a wrong password', async () => {
    using slipway = fresh();
    const ended = await login(slipway, 'wrong\n');
    assert.equal(ended.status, 1);
    assert.equal(ended.stdout, '');
    assert.match(ended.stderr, /refuses the user name or password/);
    assert.ok(!ended.stderr.includes('wrong'));
    assert.equal(existsSync(join(slipway.dir, 'docker-config')), false);
  });

  it('asks for the password on a terminal without showing it', async () => {
    using slipway = fresh();
    const command = [process.execPath, join(repoRoot, 'bin/slipway.js'), 'login', ...certs(), registry.host];
    const child = spawn('script', ['-qec', command.join(' '), '/dev/null'], {
      env: { ...process.env, HOME: slipway.dir, DOCKER_CONFIG: join(slipway.dir, 'docker-config') },
    });
    let shown = '';
    const answers = new Map([
      ['Username: ', 'adx\u007fa\r'],
      ['Password: ', `${password}\r`],
    ]);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
      for (const [question, answer] of answers) {
        if (!shown.includes(question)) continue;
        answers.delete(question);
        child.stdin.write(answer);
      }
    });
    const status = await new Promise(resolve => child.once('close', resolve));
    assert.equal(status, 0, shown);
    assert.match(shown, /Login Succeeded/);
    assert.ok(!shown.includes(password), shown);
    const kept = JSON.parse(readFileSync(join(slipway.dir, 'docker-config/config.json'), 'utf8'));
    assert.equal(Buffer.from(kept.auths[registry.host].auth, 'base64').toString(), `ada:${password}`);
  });

  it('gives the password to the helper that is configured', async () => {
    using slipway = fresh();
    const bin = join(slipway.dir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'docker-credential-test'), `#!/bin/sh\ncat > ${join(slipway.dir, 'got')}-$1\n`);
    chmodSync(join(bin, 'docker-credential-test'), 0o755);
    const config = join(slipway.dir, 'docker-config');
    mkdirSync(config);
    writeFileSync(join(config, 'config.json'), JSON.stringify({ credHelpers: { [registry.host]: 'test' } }));
    const env = { PATH: `${bin}:${process.env.PATH}` };
    const args = ['login', '-u', 'ada', '--password-stdin', ...certs(), registry.host];
    const ended = await slipway.must(args, { env, input: password });
    assert.ok(!ended.stderr.includes('unencrypted'));
    assert.deepEqual(JSON.parse(readFileSync(join(slipway.dir, 'got-store'), 'utf8')), {
      ServerURL: registry.host,
      Username: 'ada',
      Secret: password,
    });
    await slipway.must(['logout', registry.host], { env });
    assert.equal(readFileSync(join(slipway.dir, 'got-erase'), 'utf8'), registry.host);
  });

  it('takes credentials and certificates from flags, each for what it is for', async () => {
    using slipway = fresh();
    const name = `${registry.host}/flags:1`;
    const creds = ['--creds', `ada:${password}`];
    const context = mkdtempSync(join(slipway.dir, 'context-'));
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY Dockerfile /\n');
    await slipway.must(['build', '-q', '-t', name, '--push', ...creds, ...certs(), context]);
    await slipway.must(['pull', ...creds, '--tls-verify=false', name]);
    const auth = join(slipway.dir, 'auth.json');
    const missing = await slipway.run(['pull', '--authfile', auth, ...certs(), name]);
    assert.equal(missing.status, 2);
    assert.match(missing.stderr, /--authfile .* is not there/);
    assert.equal((await login(slipway, password, '--authfile', auth)).status, 0);
    await slipway.must(['pull', '--authfile', auth, ...certs(), name]);
    const distrusted = await slipway.run(['pull', '--retry', '0', ...creds, name]);
    assert.equal(distrusted.status, 1);
    assert.match(distrusted.stderr, /is not trusted/);
    const unclear = await slipway.run(['build', ...creds, context]);
    assert.equal(unclear.status, 2);
    assert.match(unclear.stderr, /one registry only/);
    assert.ok(!unclear.stderr.includes(password));
  });

  it('is reached through a proxy', async () => {
    const asked: string[] = [];
    const proxy = createServer().on('connect', (request, client) => {
      asked.push(request.url ?? '');
      const onward = connect(registry.port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(client).pipe(onward);
      });
      onward.on('error', () => client.destroy());
      client.on('error', () => onward.destroy());
    });
    await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
    try {
      const host = `registry.test:${registry.port}`;
      using slipway = fresh({
        HTTPS_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        NO_PROXY: '',
        https_proxy: '',
        no_proxy: '',
      });
      const creds = ['--creds', `ada:${password}`, ...certs()];
      await build(slipway, `${host}/proxied:1`, 'x');
      await slipway.must(['push', ...creds, `${host}/proxied:1`]);
      await slipway.must(['pull', ...creds, `${host}/proxied:1`]);
      assert.deepEqual([...new Set(asked)], [host]);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });
});

describe('a registry behind a SOCKS5 proxy', () => {
  it('with TLS and a name that only the proxy knows is pushed to and pulled from', async () => {
    await using registry = await new MemoryRegistry().start(authority.issue('behind', ['DNS:registry.test']));
    await using proxy = await startSocksServer({ login: { username: 'ada', password } });
    const host = `registry.test:${registry.host.split(':')[1]}`;
    const login = `ada:${encodeURIComponent(password)}`;
    using slipway = fresh({ ALL_PROXY: `socks5h://${login}@${proxy.host}`, NO_PROXY: '', no_proxy: '' });
    await build(slipway, `${host}/proxied:1`, 'x');
    await slipway.must(['push', ...certs(), `${host}/proxied:1`]);
    await slipway.must(['rmi', `${host}/proxied:1`]);
    const { stderr } = await slipway.must(['pull', ...certs(), `${host}/proxied:1`]);
    assert.doesNotMatch(stderr, /warning/i);
    assert.deepEqual([...new Set(proxy.asked)], [host]);
  });
});

describe('a registry that says no', () => {
  it('names scope, repository and login for a denied push, before a build begins too, and keeps its tags', async () => {
    let mayPush = true;
    const account = { username: 'ada', password: 'secret' };
    await using tokens = await startTokenServer({
      signer: authority.issue('signer', ['DNS:signer']),
      service: 'test',
      issuer: 'test-issuer',
      ...account,
      allows: (_repository, action) => action !== 'push' || mayPush,
    });
    const token = {
      realm: tokens.realm,
      service: 'test',
      issuer: 'test-issuer',
      rootCertFile: authority.certFile,
    };
    await using registry = await startDockerRegistry({ token });
    using slipway = fresh();
    const env = { SLIPWAY_TRUSTED_REALMS: `${registry.host}=${tokens.host}` };
    const name = `${registry.host}/team/readonly:1`;
    await slipway.must(['login', '-u', 'ada', '--password-stdin', registry.host], { env, input: 'secret' });
    await build(slipway, name, 'first');
    const first = (await slipway.must(['push', '-q', name], { env })).stdout.trim();
    await build(slipway, name, 'second');
    mayPush = false;
    const denied = await slipway.run(['push', name], { env });
    assert.equal(denied.status, 1);
    assert.match(denied.stderr, /repository:team\/readonly:pull,push/);
    assert.match(denied.stderr, new RegExp(`slipway login ${registry.host}`));
    const context = mkdtempSync(join(slipway.dir, 'context-'));
    writeFileSync(join(context, 'Dockerfile'), 'FROM nowhere.invalid/x\n');
    const unbuilt = await slipway.run(['build', '--push', '-t', name, context], { env });
    assert.equal(unbuilt.status, 1);
    assert.match(unbuilt.stderr, /repository:team\/readonly:pull,push/);
    assert.doesNotMatch(unbuilt.stderr, /nowhere/);
    using other = fresh({ DOCKER_CONFIG: join(slipway.dir, 'docker-config'), ...env });
    const inspected = await other.must(['pull', name]);
    assert.ok((inspected.stdout + inspected.stderr).includes(first), 'the tag is what it was');
  });

  it('with an expired certificate is not talked to', async () => {
    const tls = authority.issue('expired', ['IP:127.0.0.1'], 'expired');
    await using registry = await startDockerRegistry({ tls });
    using slipway = fresh();
    const ended = await slipway.run(['pull', ...certs(), `${registry.host}/app`]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /its certificate has expired/);
    const login = await slipway.run(['login', '-u', 'a', '--password-stdin', ...certs(), registry.host], {
      input: 'b',
    });
    assert.equal(login.status, 1);
    assert.equal(existsSync(join(slipway.dir, 'docker-config')), false);
  });
});

describe('what login refuses', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['-u', 'a', '-p', 'b', '--password-stdin'], /cannot specify both --password and --password-stdin/],
    [['--password-stdin'], /--password-stdin option requires --username/],
    [['-u', 'a'], /Cannot perform an interactive login from a non TTY device/],
    [['-u', '', '-p', 'x'], /username is empty/],
    [['-u', 'a', '--password-stdin'], /password is empty/],
  ];
  for (const [args, message] of cases) {
    it(`login ${args.join(' ')}`, async () => {
      using slipway = fresh();
      const ended = await slipway.run(['login', ...args, 'registry.invalid']);
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, message);
    });
  }
});
