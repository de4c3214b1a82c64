// Signing images in a registry and verifying them there and on pull, through the command line.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { type RunningRegistry, startDockerRegistry } from '../support/docker-registry.ts';
import { tarBytes } from '../support/layer-tar.ts';
import { addImage, MemoryRegistry, ociIndex, ociManifest, sha256 } from '../support/memory-registry.ts';
import { must, type Program, program } from '../support/program.ts';
import { repoRoot } from '../support/repo.ts';
import { makeAuthority } from '../support/tls.ts';

const recorded = (name: string) => join(repoRoot, 'test/corpus/cosign', name);

let dir: string;
let registry: RunningRegistry;
let access: string[];
let slipway: Program;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'slipway-e2e-sign-'));
  const authority = makeAuthority(join(dir, 'ca'));
  mkdirSync(join(dir, 'certs'));
  copyFileSync(authority.certFile, join(dir, 'certs/ca.crt'));
  const tls = authority.issue('registry', ['IP:127.0.0.1']);
  registry = await startDockerRegistry({ tls, htpasswd: { username: 'ada', password: 'word' } });
  access = ['--cert-dir', join(dir, 'certs'), '--creds', 'ada:word'];
  slipway = fresh();
});
after(async () => {
  slipway[Symbol.dispose]();
  await registry[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** Nothing of this machine's configuration. */
function fresh(): Program {
  const home = mkdtempSync(join(dir, 'home-'));
  return program({
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_RUNTIME_DIR: home,
    COSIGN_PASSWORD: undefined,
  });
}

/** Files with a new pair of keys. */
function makeKeys(name: string): { key: string; pub: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [key, pub] = [join(dir, `${name}.key`), join(dir, `${name}.pub`)];
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  return { key, pub };
}

/** Pushes an image with one file in it. @returns its name and its digest */
async function pushed(
  path: string,
  content = path,
  more: string[] = [],
): Promise<{ name: string; digest: string }> {
  const name = `${registry.host}/${path}`;
  const context = mkdtempSync(join(dir, 'context-'));
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY file /file\n');
  writeFileSync(join(context, 'file'), content);
  await slipway.must(['build', '-q', '-t', name, '--push', ...more, ...access, context]);
  const [repository = '', tag = ''] = path.split(':');
  const digest = sha256(await ask(`${repository}/manifests/${tag}`));
  return { name, digest };
}

const sign = (key: string, ...words: string[]) =>
  slipway.must(['image', 'sign', '--key', key, ...access, ...words]);
const verify = (pub: string, ...words: string[]) =>
  slipway.run(['image', 'verify', '--key', pub, ...access, ...words]);

/** What the registry itself has under a path, asked for without slipway. */
function ask(path: string): Promise<string> {
  const options = {
    ca: readFileSync(join(dir, 'certs/ca.crt')),
    auth: 'ada:word',
    headers: { accept: `${ociManifest}, ${ociIndex}` },
  };
  return new Promise((resolve, reject) => {
    get(`https://${registry.host}/v2/${path}`, options, async response => {
      const body = await text(response);
      if (response.statusCode === 200) resolve(body);
      else reject(new Error(`${path}: ${response.statusCode} ${body}`));
    }).on('error', reject);
  });
}

interface Signatures {
  readonly config: { readonly digest: string };
  readonly layers: readonly { mediaType: string; digest: string; annotations: Record<string, string> }[];
}

async function signaturesOf(path: string, digest: string): Promise<Signatures> {
  return JSON.parse(await ask(`${path}/manifests/${digest.replace(':', '-')}.sig`));
}

describe('image sign', () => {
  it('writes what openssl and image verify find signed, as cosign lays it out', async () => {
    const { key, pub } = makeKeys('first');
    const { name, digest } = await pushed('sign/first:1');
    const { stdout } = await sign(key, '-a', 'team=blue', '-a', 'at=5=5', name);
    const repository = `${registry.host}/sign/first`;
    assert.equal(stdout, `${repository}@${digest}\n`);
    const { layers, config } = await signaturesOf('sign/first', digest);
    assert.equal(layers.length, 1);
    const [layer] = layers;
    assert.equal(layer?.mediaType, 'application/vnd.dev.cosign.simplesigning.v1+json');
    const payload = await ask(`sign/first/blobs/${layer?.digest}`);
    const expected = {
      critical: {
        identity: { 'docker-reference': repository },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: { at: '5=5', team: 'blue' },
    };
    assert.equal(payload, JSON.stringify(expected));
    assert.deepEqual(JSON.parse(await ask(`sign/first/blobs/${config.digest}`)).rootfs.diff_ids, [
      layer?.digest,
    ]);
    writeFileSync(join(dir, 'payload'), payload);
    const signature = layer?.annotations['dev.cosignproject.cosign/signature'] ?? '';
    writeFileSync(join(dir, 'signature'), Buffer.from(signature, 'base64'));
    await must(['openssl', 'dgst', '-sha256', '-verify', pub, '-signature', 'signature', 'payload'], {
      cwd: dir,
    });
    const found = await verify(pub, '--format', 'json', '-a', 'team=blue', name);
    assert.deepEqual(JSON.parse(found.stdout), [expected]);
    const table = await verify(pub, `${repository}@${digest}`);
    assert.match(table.stdout, /^DIGEST +SIGNED AS +ANNOTATIONS\n/);
    assert.match(table.stdout, new RegExp(`\n${digest} +${repository} +at=5=5, team=blue\n$`));
  });

  it('adds to the signatures that are there, and the same one only once', async () => {
    const [one, two] = [makeKeys('one'), makeKeys('two')];
    const { name, digest } = await pushed('sign/both:1');
    await sign(one.key, name);
    await slipway.must(['sign', '--key', two.key, ...access, name]);
    await sign(two.key, '-a', 'checked=yes', name);
    const again = await sign(one.key, `${registry.host}/sign/both@${digest}`);
    assert.match(again.stderr, /was signed by this key before/);
    assert.equal((await signaturesOf('sign/both', digest)).layers.length, 3);
    assert.equal(JSON.parse((await verify(one.pub, '--format=json', name)).stdout).length, 1);
    assert.equal(JSON.parse((await verify(two.pub, '--format=json', name)).stdout).length, 2);
    const neither = await verify(makeKeys('neither').pub, name);
    assert.equal(neither.status, 1);
    assert.match(neither.stderr, /^error: .* has no signature that counts: it was not made with this key\n$/);
  });

  it('loses none of those that are made at the same time', async () => {
    const { name, digest } = await pushed('sign/crowd:1');
    const keys = ['a', 'b', 'c', 'd'].map(each => makeKeys(`crowd-${each}`));
    await Promise.all(keys.map(({ key }) => sign(key, name)));
    assert.equal((await signaturesOf('sign/crowd', digest)).layers.length, keys.length);
    for (const { pub } of keys) assert.equal((await verify(pub, name)).status, 0);
  });

  it('signs the image of each platform with --recursive', async () => {
    const { key, pub } = makeKeys('recursive');
    const { name } = await pushed('sign/many:1', 'many', ['--platform', 'linux/amd64,linux/arm64']);
    const inner = JSON.parse((await slipway.must(['manifest', 'inspect', ...access, name])).stdout).manifests;
    assert.equal(inner.length, 2);
    const names = inner.map((each: { digest: string }) => `${registry.host}/sign/many@${each.digest}`);
    await sign(key, name);
    assert.equal((await verify(pub, name)).status, 0);
    const not = await verify(pub, names[0]);
    assert.equal(not.status, 1);
    assert.match(not.stderr, /is not signed/);
    const all = await sign(key, '-r', name);
    assert.equal(all.stdout.trim().split('\n').length, 3);
    assert.equal((await verify(pub, name, ...names)).status, 0);
  });

  it("takes cosign's encrypted key with the password of COSIGN_PASSWORD, and keys of the environment", async () => {
    const { name } = await pushed('sign/sealed:1');
    const key = join(dir, 'cosign.key');
    copyFileSync(recorded('cosign.key'), key);
    chmodSync(key, 0o600);
    const words = ['image', 'sign', '--key', key, ...access, name];
    const nobody = await slipway.run(words);
    assert.equal(nobody.status, 1);
    assert.match(nobody.stderr, /encrypted, and there is no terminal/);
    const wrong = await slipway.run(words, { env: { COSIGN_PASSWORD: 'wrong' } });
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /the password is wrong/);
    assert.match((await verify(recorded('cosign.pub'), name)).stderr, /is not signed/);
    await slipway.must(words, { env: { COSIGN_PASSWORD: 'ein Wort' } });
    const fromVariable = ['image', 'verify', '--key', 'env://PUB', ...access, name];
    await slipway.must(fromVariable, { env: { PUB: readFileSync(recorded('cosign.pub'), 'utf8') } });
    const unset = await slipway.run(fromVariable);
    assert.equal(unset.status, 2);
    assert.match(unset.stderr, /no variable PUB/);
  });

  it('asks for the password of a key on a terminal, without showing it', async () => {
    const { name } = await pushed('sign/asked:1');
    const key = join(dir, 'asked.key');
    copyFileSync(recorded('cosign.key'), key);
    const words = [process.execPath, join(repoRoot, 'bin/slipway.js'), 'sign', '--key', key, ...access, name];
    const { COSIGN_PASSWORD: _, ...env } = process.env;
    const child = spawn('script', ['-qec', words.join(' '), '/dev/null'], { env: { ...env, HOME: dir } });
    let shown = '';
    let answered = false;
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      shown += part;
      if (answered || !shown.includes('Password of the private key: ')) return;
      answered = true;
      child.stdin.write('ein Wort\r');
    });
    assert.equal(await new Promise(resolve => child.once('close', resolve)), 0, shown);
    assert.ok(!shown.includes('ein Wort'), shown);
    assert.equal((await verify(recorded('cosign.pub'), name)).status, 0);
  });

  it('takes a key from a pipe that gives it in parts, and names one that cannot be read', async () => {
    const { key, pub } = makeKeys('pipe');
    const { name } = await pushed('sign/pipe:1');
    await sign(key, name);
    const words = [process.execPath, join(repoRoot, 'bin/slipway.js'), 'image', 'verify', ...access, name];
    const parts = `head -c 60 ${pub}; sleep 1; tail -c +61 ${pub}`;
    const env = { HOME: dir, SLIPWAY_ROOT: slipway.store };
    await must(['bash', '-c', `${words.join(' ')} --key <(${parts})`], { env });
    for (const [path, why] of [
      [dir, 'EISDIR'],
      ['no\u001bkey', 'ENOENT'],
    ] as const) {
      const { status, stderr } = await verify(path, name);
      assert.equal(status, 2);
      assert.equal(stderr, `error: the key ${path.replace('\u001b', '\\u001b')} cannot be read (${why})\n`);
    }
  });

  it('warns of a private key that others may read', async () => {
    const { key } = makeKeys('open');
    const { name } = await pushed('sign/open:1');
    assert.doesNotMatch((await sign(key, name)).stderr, /warning/);
    chmodSync(key, 0o644);
    assert.match(
      (await sign(key, '-a', 'a=b', name)).stderr,
      /warning: other users may read the private key/,
    );
  });
});

describe('pull --verify-key', () => {
  it('refuses what is not signed by the key, and changes nothing', async () => {
    using other = fresh();
    const { key, pub } = makeKeys('pull');
    const { name } = await pushed('pull/app:1', 'signed');
    await sign(key, name);
    await other.must(['pull', '--verify-key', pub, ...access, name]);
    const images = async () =>
      (await other.must(['images', '--format', '{{.Repository}} {{.Tag}} {{.Digest}}'])).stdout;
    const before = await images();
    assert.match(before, /pull\/app 1 sha256:/);
    await pushed('pull/app:1', 'not signed');
    for (const words of [[name], ['-a', `${registry.host}/pull/app`]]) {
      const refused = await other.run(['pull', '--verify-key', pub, ...access, ...words]);
      assert.equal(refused.status, 1);
      assert.equal(refused.stdout, '');
      assert.match(refused.stderr, /is not signed/);
    }
    assert.equal(await images(), before);
    await other.must(['pull', ...access, name]);
    assert.notEqual(await images(), before);
  });

  it('pulls all tags of a repository with signatures, which are no images', async () => {
    using other = fresh();
    const { key, pub } = makeKeys('all');
    const { name, digest } = await pushed('pull/all:1', 'one');
    const { name: second } = await pushed('pull/all:2', 'two');
    await sign(key, name, second);
    for (const flags of [['--verify-key', pub], []]) {
      const pulled = await other.must(['pull', '-a', ...flags, ...access, `${registry.host}/pull/all`]);
      assert.match(pulled.stderr, new RegExp(`Left out: ${digest.replace(':', '-')}.sig is about an image`));
      const { stdout } = await other.must(['images', '--format', '{{.Tag}}']);
      assert.deepEqual(stdout.trim().split('\n').sort(), ['1', '2']);
    }
  });

  it('pulls what was verified, whatever the tag stands for a moment later', async () => {
    await using hostile = await new MemoryRegistry().start();
    using other = fresh();
    const { key, pub } = makeKeys('moment');
    const name = `${hostile.host}/app:1`;
    const signed = addImage(hostile, 'app', '1', { layers: [tarBytes({ path: 'file', text: 'signed' })] });
    await other.must(['sign', '--key', key, name]);
    const evil = addImage(hostile, 'app', undefined, {
      layers: [tarBytes({ path: 'file', text: 'evil' })],
    });
    hostile.script({ method: 'GET', path: /\.sig$/ }, async exchange => {
      const found = hostile.manifests.get(`app@${evil.digest}`);
      if (found) hostile.manifests.set('app:1', found);
      await exchange.honest();
    });
    const pulled = await other.must(['pull', '--verify-key', pub, name]);
    assert.match(pulled.stderr, new RegExp(`Digest: ${signed.digest}`));
    assert.ok(!hostile.log.includes(`GET /v2/app/blobs/${evil.layers[0]?.digest}`));
    const { stdout } = await other.must(['images', '--digests', '--format', '{{.Tag}} {{.Digest}}']);
    assert.equal(stdout, `1 ${signed.digest}\n`);
  });
});

describe('--disable-content-trust', () => {
  it('is accepted as it is, and refused as false', async () => {
    const { name } = await pushed('trust/app:1', 'trust', ['--disable-content-trust']);
    await slipway.must(['pull', '--disable-content-trust=true', ...access, name]);
    await slipway.must(['push', '--disable-content-trust', ...access, name]);
    for (const words of [
      ['pull', name],
      ['push', name],
      ['build', '.'],
    ]) {
      const refused = await slipway.run([...words, '--disable-content-trust=false', ...access]);
      assert.equal(refused.status, 1);
      assert.match(
        refused.stderr,
        /Docker Content Trust \(Notary\) is not supported\n.*slipway image verify.*pull --verify-key/,
      );
    }
    const env = { DOCKER_CONTENT_TRUST: '1' };
    const told = await slipway.must(['pull', ...access, name], { env });
    assert.match(told.stderr, /warning: DOCKER_CONTENT_TRUST has no effect/);
    const quiet = await slipway.must(['pull', '--disable-content-trust', ...access, name], { env });
    assert.doesNotMatch(quiet.stderr, /warning/);
    const strange = await slipway.run(['pull', name, '--disable-content-trust=maybe']);
    assert.equal(strange.status, 2);
  });
});
