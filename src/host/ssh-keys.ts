// Private keys as ssh-keygen and openssl write them, without a passphrase, and what an agent does with one: give its
// public half, and sign. OpenSSH's own format is in PROTOCOL.key of its source, signatures in RFC 4253, 5656, 8332, 8709.
import { createPrivateKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { SshReader, sshNumber, sshString } from './ssh-wire.ts';

export interface SshKey {
  /** As agents and servers exchange it. */
  readonly publicKey: Buffer;
  readonly comment: string;
  /** @param flags of an agent's request: which hash RSA is to use */
  sign(data: Buffer, flags: number): Buffer;
}

/** Why a file is no key that can be used; its message is a part of a sentence. */
export class SshKeyError extends Error {}

const MAGIC = 'openssh-key-v1\0';
const RSA_SHA2_256 = 2;
const RSA_SHA2_512 = 4;

/** By the names that OpenSSH and JSON Web Keys use. */
const curves = {
  nistp256: { crv: 'P-256', bytes: 32, hash: 'sha256' },
  nistp384: { crv: 'P-384', bytes: 48, hash: 'sha384' },
  nistp521: { crv: 'P-521', bytes: 66, hash: 'sha512' },
} as const;

type CurveName = keyof typeof curves;

/** @throws SshKeyError */
export function parseSshKey(text: string, comment: string): SshKey {
  const pem = /^-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)-----END \1-----/m.exec(text);
  if (pem === null) throw new SshKeyError('it holds no private key');
  if (pem[1] !== 'OPENSSH PRIVATE KEY') return keyOf(readPem(text), comment);
  const { jwk, comment: own } = readOpenSsh(Buffer.from(pem[2] ?? '', 'base64'));
  return keyOf(createKey(jwk), own || comment);
}

function readPem(text: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text)) throw needsPassphrase();
  try {
    return createPrivateKey(text);
  } catch {
    throw new SshKeyError('it holds no private key');
  }
}

function needsPassphrase(): SshKeyError {
  return new SshKeyError('the key has a passphrase');
}

function readOpenSsh(bytes: Buffer): { jwk: JsonWebKey; comment: string } {
  if (bytes.subarray(0, MAGIC.length).toString('latin1') !== MAGIC)
    throw new SshKeyError('it holds no private key');
  try {
    const file = new SshReader(bytes, MAGIC.length);
    const cipher = file.text();
    file.string(); // name of the key derivation, its options
    file.string();
    if (cipher !== 'none') throw needsPassphrase();
    if (file.uint32() !== 1) throw new SshKeyError('it does not hold one key');
    file.string(); // the public half, which is in the private one too
    const key = new SshReader(file.string());
    const [check, again] = [key.uint32(), key.uint32()];
    if (check !== again) throw new SshKeyError('the key is damaged');
    const jwk = readFields(key.text(), key);
    return { jwk, comment: key.string().toString('utf8') };
  } catch (error) {
    if (error instanceof RangeError) throw new SshKeyError('the key is damaged');
    throw error;
  }
}

function readFields(type: string, key: SshReader): JsonWebKey {
  if (type === 'ssh-ed25519') {
    const x = key.string();
    return { kty: 'OKP', crv: 'Ed25519', x: text(x), d: text(key.string().subarray(0, 32)) };
  }
  if (type === 'ssh-rsa') return readRsa(key);
  const curve = curves[type.replace('ecdsa-sha2-', '') as CurveName];
  if (curve === undefined) throw new SshKeyError(`keys of the type ${type} cannot be used`);
  key.string();
  const point = key.string();
  const d = key.string();
  const x = point.subarray(1, 1 + curve.bytes);
  const y = point.subarray(1 + curve.bytes);
  return { kty: 'EC', crv: curve.crv, x: text(x), y: text(y), d: text(padded(d, curve.bytes)) };
}

function readRsa(key: SshReader): JsonWebKey {
  const [n, e, d, qi, p, q] = Array.from({ length: 6 }, () => trimmed(key.string())) as [
    ...[Buffer, Buffer, Buffer, Buffer, Buffer, Buffer],
  ];
  const remainder = (prime: Buffer) => {
    const hex = (bigOf(d) % (bigOf(prime) - 1n)).toString(16);
    return text(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
  };
  return {
    ...{ kty: 'RSA', n: text(n), e: text(e), d: text(d), p: text(p), q: text(q) },
    ...{ dp: remainder(p), dq: remainder(q), qi: text(qi) },
  };
}

function createKey(jwk: JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new SshKeyError('the key is damaged');
  }
}

function keyOf(key: KeyObject, comment: string): SshKey {
  switch (key.asymmetricKeyType) {
    case 'ed25519': {
      const publicKey = Buffer.concat([sshString('ssh-ed25519'), sshString(part(key, 'x'))]);
      const signed = (data: Buffer) => named('ssh-ed25519', sign(null, data, key));
      return { publicKey, comment, sign: signed };
    }
    case 'rsa': {
      const numbers = [sshNumber(part(key, 'e')), sshNumber(part(key, 'n'))];
      const publicKey = Buffer.concat([sshString('ssh-rsa'), ...numbers]);
      return { publicKey, comment, sign: (data, flags) => signRsa(key, data, flags) };
    }
    case 'ec':
      return ecdsaKey(key, comment);
    default:
      throw new SshKeyError(`keys of the type ${key.asymmetricKeyType} cannot be used`);
  }
}

function signRsa(key: KeyObject, data: Buffer, flags: number): Buffer {
  if ((flags & RSA_SHA2_512) !== 0) return named('rsa-sha2-512', sign('sha512', data, key));
  if ((flags & RSA_SHA2_256) !== 0) return named('rsa-sha2-256', sign('sha256', data, key));
  return named('ssh-rsa', sign('sha1', data, key));
}

function ecdsaKey(key: KeyObject, comment: string): SshKey {
  const { crv } = key.export({ format: 'jwk' });
  const found = (Object.keys(curves) as CurveName[]).find(name => curves[name].crv === crv);
  if (found === undefined) throw new SshKeyError('keys on its curve cannot be used');
  const { bytes, hash } = curves[found];
  const type = `ecdsa-sha2-${found}`;
  const point = Buffer.concat([Buffer.from([4]), part(key, 'x'), part(key, 'y')]);
  return {
    publicKey: Buffer.concat([sshString(type), sshString(found), sshString(point)]),
    comment,
    sign(data) {
      const both = sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
      const numbers = [sshNumber(both.subarray(0, bytes)), sshNumber(both.subarray(bytes))];
      return named(type, Buffer.concat(numbers));
    },
  };
}

function named(algorithm: string, signature: Buffer): Buffer {
  return Buffer.concat([sshString(algorithm), sshString(signature)]);
}

function part(key: KeyObject, name: 'x' | 'y' | 'n' | 'e'): Buffer {
  return Buffer.from(key.export({ format: 'jwk' })[name] ?? '', 'base64url');
}

function text(bytes: Buffer): string {
  return bytes.toString('base64url');
}

function trimmed(bytes: Buffer): Buffer {
  const first = bytes.findIndex(byte => byte !== 0);
  return first < 0 ? Buffer.alloc(0) : bytes.subarray(first);
}

function padded(bytes: Buffer, length: number): Buffer {
  const digits = trimmed(bytes);
  return Buffer.concat([Buffer.alloc(Math.max(0, length - digits.length)), digits]);
}

function bigOf(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex') || '0'}`);
}
