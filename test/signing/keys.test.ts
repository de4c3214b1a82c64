// Keys as openssl, node and cosign write them.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isSignedBy, readSigningKey, readVerifyingKey, signBytes } from '../../src/signing/keys.ts';
import { repoRoot } from '../support/repo.ts';

const recorded = (name: string) => readFileSync(join(repoRoot, 'test/corpus/cosign', name), 'utf8');
const bytes = Buffer.from('what is signed');
const noPassword = () => Promise.reject(new Error('nobody should have asked'));

function spki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

describe('signing keys', () => {
  it('reads the encrypted key that cosign made', async () => {
    const key = await readSigningKey(recorded('cosign.key'), 'cosign.key', async () => 'ein Wort');
    assert.ok(verify('sha256', bytes, recorded('cosign.pub'), signBytes(bytes, key)));
  });

  it('refuses a wrong password and a damaged file', async () => {
    const wrong = readSigningKey(recorded('cosign.key'), 'cosign.key', async () => 'ein Wart');
    await assert.rejects(wrong, { code: 'auth', message: /cosign\.key cannot be decrypted/ });
    const [begin = '', ...rest] = recorded('cosign.key').split('\n');
    const sealed = JSON.parse(Buffer.from(rest.slice(0, -2).join(''), 'base64').toString());
    const again = (change: object) => {
      const text = Buffer.from(JSON.stringify({ ...sealed, ...change })).toString('base64');
      return readSigningKey(`${begin}\n${text}\n${rest.at(-2)}\n`, 'k', async () => 'ein Wort');
    };
    await assert.doesNotReject(again({}));
    await assert.rejects(again({ ciphertext: sealed.ciphertext.replace(/^./, 'A') }), { code: 'auth' });
    const params = { N: 2 ** 30, r: 8, p: 1 };
    await assert.rejects(again({ kdf: { ...sealed.kdf, params } }), /too expensive/);
    await assert.rejects(again({ kdf: { ...sealed.kdf, params: { N: 3, r: 8, p: 1 } } }), /not valid/);
    await assert.rejects(again({ kdf: { name: 'none' } }), /not encrypted with scrypt/);
    await assert.rejects(again({ cipher: { name: 'nacl/secretbox', nonce: 'AAAA' } }), /nonce/);
    const junk = `${begin}\nAAAA\n${rest.at(-2)}\n`;
    await assert.rejects(
      readSigningKey(junk, 'k', async () => ''),
      /not JSON in base64/,
    );
  });

  for (const namedCurve of ['P-256', 'P-384', 'P-521']) {
    it(`reads ${namedCurve} in every form of PEM`, async () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      const cipher = { cipher: 'aes-256-cbc', passphrase: 'pass' };
      const forms = [
        privateKey.export({ type: 'sec1', format: 'pem' }),
        privateKey.export({ type: 'pkcs8', format: 'pem' }),
        `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${privateKey.export({ type: 'sec1', format: 'pem' })}`,
      ];
      for (const form of forms) {
        const key = await readSigningKey(form.toString(), 'key', noPassword);
        assert.ok(verify('sha256', bytes, publicKey, signBytes(bytes, key)));
      }
      const sealed = privateKey.export({ type: 'pkcs8', format: 'pem', ...cipher }).toString();
      const key = await readSigningKey(sealed, 'key', async () => 'pass');
      const signature = signBytes(bytes, key);
      const known = readVerifyingKey(spki(publicKey), 'key');
      assert.ok(isSignedBy(bytes, signature, known));
      assert.ok(!isSignedBy(Buffer.from('something else'), signature, known));
      assert.ok(!isSignedBy(bytes, Buffer.from('no signature'), known));
      await assert.rejects(
        readSigningKey(sealed, 'key', async () => 'other'),
        { code: 'auth' },
      );
    });
  }

  it('takes no other kinds of keys', async () => {
    const others = [
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ed25519'),
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
    ];
    for (const { privateKey, publicKey } of others) {
      const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      await assert.rejects(readSigningKey(pem, 'key', noPassword), { code: 'unsupported' });
      assert.throws(() => readVerifyingKey(spki(publicKey), 'key'), { code: 'unsupported' });
    }
  });

  it('says what a file that is no public key holds', () => {
    assert.throws(
      () => readVerifyingKey(recorded('cosign.key'), 'k'),
      /holds a private key, not a public key/,
    );
    assert.throws(() => readVerifyingKey('hello', 'k'), /holds no public key/);
    const twice = recorded('cosign.pub').repeat(2);
    assert.throws(() => readVerifyingKey(twice, 'k'), /several public keys/);
    const broken = recorded('cosign.pub').replace('MFkw', 'MFkx');
    assert.throws(() => readVerifyingKey(broken, 'k'), { code: 'usage', message: /broken/ });
  });
});
