// Key files behind an agent of our own, as OpenSSH sees it.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openAgentProxy } from '../../src/host/ssh-agent.ts';
import { parseSshKey, SshKeyError } from '../../src/host/ssh-keys.ts';
import { must, run } from '../support/program.ts';

const dir = mkdtempSync(join(tmpdir(), 'slipway-keys-'));
after(() => rmSync(dir, { recursive: true, force: true }));

let count = 0;

/** A new key of ssh-keygen. @returns its path */
async function keygen(...args: string[]): Promise<string> {
  const path = join(dir, `key${count++}`);
  await must(['ssh-keygen', '-q', '-N', '', '-C', 'its comment', '-f', path, ...args]);
  return path;
}

const kinds = [
  ['ed25519'],
  ['rsa', '-b', '2048'],
  ['ecdsa', '-b', '256'],
  ['ecdsa', '-b', '384'],
  ['ecdsa', '-b', '521'],
  ['rsa', '-m', 'PEM'],
  ['ecdsa', '-m', 'PEM'],
  ['rsa', '-m', 'PKCS8'],
];

test('keys of every kind are listed, and what they sign is good', async () => {
  const paths = await Promise.all(kinds.map(kind => keygen('-t', ...kind)));
  const keys = paths.map((path, i) => parseSshKey(readFileSync(path, 'utf8'), `file${i}`));
  const agent = await openAgentProxy({ agent: { keys }, mode: 0o600, uid: 0, gid: 0 });
  try {
    const env = { SSH_AUTH_SOCK: agent.path };
    const listed = (await must(['ssh-add', '-L'], { env })).trimEnd().split('\n');
    const written = paths.map(path => readFileSync(`${path}.pub`, 'utf8').split(' ').slice(0, 2).join(' '));
    assert.deepEqual(
      listed.map(line => line.split(' ').slice(0, 2).join(' ')),
      written,
    );
    assert.match(listed[0] ?? '', / its comment$/);
    assert.match(listed[5] ?? '', / file5$/, 'PEM has no comment');
    await must(['ssh-add', '-T', ...paths.map(path => `${path}.pub`)], { env });
  } finally {
    await agent.close();
  }
});

test('the agent signs with no other key, and takes and loses none', async () => {
  const [lent, other] = [await keygen('-t', 'ed25519'), await keygen('-t', 'ed25519')];
  const keys = [parseSshKey(readFileSync(lent, 'utf8'), '')];
  const agent = await openAgentProxy({ agent: { keys }, mode: 0o600, uid: 0, gid: 0 });
  try {
    const env = { SSH_AUTH_SOCK: agent.path };
    for (const args of [['-T', `${other}.pub`], [other], ['-D'], ['-x']]) {
      const ended = await run(['ssh-add', ...args], { env, input: 'x\nx\n' });
      assert.notEqual(ended.status, 0, args.join(' '));
    }
    assert.equal((await must(['ssh-add', '-L'], { env })).trimEnd().split('\n').length, 1);
  } finally {
    await agent.close();
  }
});

test('a key with a passphrase, a damaged one and what is no key are refused with the reason', async () => {
  const locked = join(dir, 'locked');
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', 'secret', '-f', locked]);
  const lockedPem = join(dir, 'locked-pem');
  await must(['ssh-keygen', '-q', '-t', 'rsa', '-m', 'PEM', '-N', 'secret', '-f', lockedPem]);
  const good = readFileSync(await keygen('-t', 'ed25519'), 'utf8');
  const lines = good.split('\n');
  for (const [text, reason] of [
    [readFileSync(locked, 'utf8'), /has a passphrase/],
    [readFileSync(lockedPem, 'utf8'), /has a passphrase/],
    [readFileSync(`${locked}.pub`, 'utf8'), /no private key/],
    ['', /no private key/],
    [[lines[0], lines[1], lines.at(-2), ''].join('\n'), /damaged/],
    ['-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n', /no private key/],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', /no private key/],
  ] as const) {
    assert.throws(
      () => parseSshKey(text, ''),
      (error: unknown) => error instanceof SshKeyError && reason.test(error.message),
    );
  }
});

test('a key that came with carriage returns is read', async () => {
  const path = await keygen('-t', 'ed25519');
  const text = readFileSync(path, 'utf8').replaceAll('\n', '\r\n');
  writeFileSync(path, text);
  assert.equal(parseSshKey(text, '').comment, 'its comment');
});
