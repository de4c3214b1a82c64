// Keys of signatures: ECDSA, in PEM. What openssl, node and cosign write is read. Signatures are made over SHA-256 on
// every curve, which is what all releases of cosign verify; cosign 3 itself signs over the hash of the curve's size.
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { BuildError, printable } from '../errors.ts';
import { isSealed, openSealed } from './sealed-key.ts';

/** A private key; `publicKey` is its other half. */
export interface SigningKey {
  readonly key: KeyObject;
  readonly publicKey: VerifyingKey;
}

export interface VerifyingKey {
  readonly key: KeyObject;
  /** What a signature may be over. */
  readonly hashes: readonly string[];
}

/** Asked for only when a key is encrypted. */
export type AskPassword = () => Promise<string>;

/** Larger files are no keys. */
export const maxKeyBytes = 64 * 1024;

const hashes: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  secp384r1: ['sha256', 'sha384'],
  secp521r1: ['sha256', 'sha512'],
};

/** A private key, whatever stands around it: `openssl ecparam` writes the curve in front. */
const privateBlock = /-----BEGIN ((?:[A-Z]+ )*PRIVATE KEY)-----\s[\s\S]*?-----END \1-----/;
const publicBlock = /-----BEGIN PUBLIC KEY-----\s[\s\S]*?-----END PUBLIC KEY-----/g;

/**
 * @param name where the text is from, for messages
 * @throws BuildError `usage` for what is no such key, `auth` for a wrong password, `unsupported` for another kind of key
 */
export async function readSigningKey(text: string, name: string, password: AskPassword): Promise<SigningKey> {
  const [block, label = ''] = privateBlock.exec(text) ?? [];
  if (block === undefined) {
    throw new BuildError('usage', `${printable(name)} holds no private key in PEM`, {
      hint: 'openssl ecparam -name prime256v1 -genkey -noout, or cosign generate-key-pair, makes one',
    });
  }
  const key = isSealed(label)
    ? await parseSealed(block, name, password)
    : label.startsWith('ENCRYPTED')
      ? parseEncrypted(block, name, await password())
      : parsePrivate(block, name);
  return { key, publicKey: { key: createPublicKey(key), hashes: hashesOf(key, name) } };
}

/** @throws BuildError `usage` for what is no public key, `unsupported` for another kind of key */
export function readVerifyingKey(text: string, name: string): VerifyingKey {
  const [block, another] = text.match(publicBlock) ?? [];
  if (block === undefined) {
    const isPrivate = privateBlock.test(text);
    throw new BuildError(
      'usage',
      `${printable(name)} holds ${isPrivate ? 'a private key, not a' : 'no'} public key in PEM`,
      {
        hint: isPrivate
          ? 'openssl ec -in KEY -pubout, or cosign public-key --key KEY, writes the public one'
          : 'it begins with -----BEGIN PUBLIC KEY-----',
      },
    );
  }
  if (another !== undefined) {
    throw new BuildError('usage', `${printable(name)} holds several public keys; one is verified with`);
  }
  let key: KeyObject;
  try {
    key = createPublicKey(block);
  } catch (cause) {
    throw new BuildError('usage', `the public key in ${printable(name)} is broken`, { cause });
  }
  return { key, hashes: hashesOf(key, name) };
}

export function signBytes(bytes: Uint8Array, { key }: SigningKey): Buffer {
  return sign('sha256', bytes, { key, dsaEncoding: 'der' });
}

export function isSignedBy(
  bytes: Uint8Array,
  signature: Uint8Array,
  { key, hashes: possible }: VerifyingKey,
): boolean {
  try {
    return possible.some(hash => verify(hash, bytes, { key, dsaEncoding: 'der' }, signature));
  } catch {
    // Not a signature at all.
    return false;
  }
}

function parsePrivate(pem: string | Uint8Array, name: string): KeyObject {
  try {
    return typeof pem === 'string'
      ? createPrivateKey(pem)
      : createPrivateKey({ key: Buffer.from(pem), format: 'der', type: 'pkcs8' });
  } catch (cause) {
    throw new BuildError('usage', `the private key in ${printable(name)} is broken`, { cause });
  }
}

async function parseSealed(pem: string, name: string, password: AskPassword): Promise<KeyObject> {
  const der = await openSealed(pem, name, password);
  if (!der) throw wrongPassword(name);
  return parsePrivate(der, name);
}

function parseEncrypted(key: string, name: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key, passphrase });
  } catch (cause) {
    throw wrongPassword(name, cause);
  }
}

function hashesOf(key: KeyObject, name: string): readonly string[] {
  const curve = key.asymmetricKeyType === 'ec' ? (key.asymmetricKeyDetails?.namedCurve ?? '') : '';
  const found = Object.hasOwn(hashes, curve) ? hashes[curve] : undefined;
  if (found) return found;
  const kind = curve || (key.asymmetricKeyType ?? 'unknown');
  throw new BuildError('unsupported', `the key in ${printable(name)} is of another kind: ${kind}`, {
    hint: 'use an ECDSA key on the curve P-256 (also P-384, P-521)',
  });
}

/** @param cause what the cipher said */
function wrongPassword(name: string, cause?: unknown): BuildError {
  return new BuildError(
    'auth',
    `${printable(name)} cannot be decrypted: the password is wrong, or the file is damaged`,
    {
      cause,
      hint: 'put the password into COSIGN_PASSWORD, or unset it to be asked',
    },
  );
}
