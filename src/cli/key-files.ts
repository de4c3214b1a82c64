// The keys that flags name: files, or variables of the environment as cosign has them (env://NAME).
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import {
  maxKeyBytes,
  readSigningKey,
  readVerifyingKey,
  type SigningKey,
  type VerifyingKey,
} from '../signing/keys.ts';
import type { Session } from './session.ts';

/** @throws BuildError `usage`, `auth` for a wrong password, `unsupported` */
export async function openSigningKey(flag: string, session: Session): Promise<SigningKey> {
  const { text, mode } = await read(flag, session);
  if ((mode & 0o077) !== 0) {
    session.err(`warning: other users may read the private key ${printable(flag)}; try: chmod 600\n`);
  }
  return readSigningKey(text, flag, () => password(session));
}

/** @throws BuildError `usage`, `unsupported` */
export async function openVerifyingKey(flag: string, session: Session): Promise<VerifyingKey> {
  return readVerifyingKey((await read(flag, session)).text, flag);
}

async function read(
  flag: string,
  session: Session,
): Promise<{ readonly text: string; readonly mode: number }> {
  const variable = /^env:\/\/(.+)$/.exec(flag)?.[1];
  if (variable !== undefined) {
    const text = session.env[variable];
    if (text === undefined) throw usage(`the environment has no variable ${printable(variable)} with a key`);
    return { text, mode: 0 };
  }
  if (/^[a-z0-9+]+:\/\/|^pkcs11:/.test(flag)) {
    throw new BuildError(
      'unsupported',
      `keys are read from files and env://NAME, not from ${printable(flag)}`,
    );
  }
  try {
    await using file = await open(resolve(session.cwd, flag), 'r');
    const bytes = Buffer.alloc(maxKeyBytes + 1);
    let size = 0;
    // A pipe gives what it has, which need not be all.
    for (let read = -1; read !== 0 && size < bytes.length; size += read) {
      read = (await file.read(bytes, size)).bytesRead;
    }
    if (size > maxKeyBytes) throw usage(`${printable(flag)} is too large for a key`);
    const { mode } = await file.stat();
    return { text: bytes.toString('utf8', 0, size), mode };
  } catch (cause) {
    if (cause instanceof BuildError) throw cause;
    throw usage(`the key ${printable(flag)} cannot be read (${errnoOf(cause) ?? messageOf(cause)})`);
  }
}

async function password({ env, err, signal }: Session): Promise<string> {
  if (env.COSIGN_PASSWORD !== undefined) return env.COSIGN_PASSWORD;
  if (!process.stdin.isTTY) {
    throw new BuildError(
      'auth',
      'the private key is encrypted, and there is no terminal to ask for its password',
      {
        hint: 'put the password into COSIGN_PASSWORD',
      },
    );
  }
  const { ask } = await import('./prompt.ts');
  return ask('Password of the private key: ', true, { input: process.stdin, write: err, signal });
}

function usage(message: string): BuildError {
  return new BuildError('usage', message);
}
