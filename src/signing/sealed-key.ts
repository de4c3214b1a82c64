// Private keys as cosign encrypts them: JSON in PEM, a key made of the password by scrypt, NaCl's secretbox around
// PKCS#8. tweetnacl stays here.
import { scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import nacl from 'tweetnacl';
import { BuildError, printable } from '../errors.ts';

const labels = ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY'];
/** More is not spent on the password of a file that says so. */
const maxScryptBytes = 1024 ** 3;

const derive = promisify<string, Buffer, number, object, Buffer>(scrypt);

/** @param label of the PEM block */
export function isSealed(label: string): boolean {
  return labels.includes(label);
}

/**
 * @returns PKCS#8 in DER; undefined when the password is wrong or the box damaged
 * @throws BuildError `usage` for a file that is not as cosign writes it
 */
export async function openSealed(
  pem: string,
  name: string,
  password: () => Promise<string>,
): Promise<Uint8Array | undefined> {
  const { cost, salt, nonce, box } = parse(pem, name);
  const maxmem = 2 * maxScryptBytes;
  const key = await derive(await password(), salt, nacl.secretbox.keyLength, { ...cost, maxmem });
  return nacl.secretbox.open(box, nonce, key) ?? undefined;
}

interface Sealed {
  readonly cost: { readonly N: number; readonly r: number; readonly p: number };
  readonly salt: Buffer;
  readonly nonce: Buffer;
  readonly box: Buffer;
}

function parse(pem: string, name: string): Sealed {
  const broken = (why: string, cause?: unknown) =>
    new BuildError('usage', `the private key in ${printable(name)} cannot be read: ${why}`, { cause });
  let json: Fields;
  try {
    const text = Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64').toString('utf8');
    json = JSON.parse(text) as Fields;
  } catch (cause) {
    throw broken('it is not JSON in base64', cause);
  }
  if (json?.kdf?.name !== 'scrypt' || json.cipher?.name !== 'nacl/secretbox') {
    throw broken('it is not encrypted with scrypt and nacl/secretbox');
  }
  const { N, r, p } = json.kdf.params ?? {};
  if (!isCost(N) || !isCost(r) || !isCost(p) || Math.log2(N) % 1 !== 0 || N < 2) {
    throw broken('its parameters for scrypt are not valid');
  }
  if (128 * N * r > maxScryptBytes || p > 64) throw broken('its parameters for scrypt are too expensive');
  const nonce = bytes(json.cipher.nonce);
  if (nonce.length !== nacl.secretbox.nonceLength) throw broken('its nonce has another length');
  return { cost: { N, r, p }, salt: bytes(json.kdf.salt), nonce, box: bytes(json.ciphertext) };
}

interface Fields {
  readonly kdf?: {
    readonly name?: unknown;
    readonly params?: { readonly N?: unknown; readonly r?: unknown; readonly p?: unknown };
    readonly salt?: unknown;
  };
  readonly cipher?: { readonly name?: unknown; readonly nonce?: unknown };
  readonly ciphertext?: unknown;
}

function isCost(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function bytes(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : '', 'base64');
}
