// slipway login and logout: credentials for a registry, checked by it, kept where docker keeps them. Messages and exit
// statuses are docker's.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { Credential } from '../../registry/credential.ts';
import type { CredentialOptions } from '../../registry/credentials.ts';
import { addRegistryOptions, type RegistryFlags, registryOptions } from '../options/registry-options.ts';
import type { Session } from '../session.ts';

interface LoginFlags extends RegistryFlags {
  readonly username?: string;
  readonly password?: string;
  readonly passwordStdin?: boolean;
}

/** Longer than any password or token; more on stdin is a mistake. */
const maxPasswordBytes = 1024 * 1024;

export function defineLogin(program: Command, session: Session): void {
  addRegistryOptions(
    program
      .command('login')
      .description('log in to a registry')
      .argument('[server]', 'host[:port] of the registry (default: Docker Hub)')
      .option('-u, --username <name>', 'user name')
      .option('-p, --password <password>', 'password or token; other users of this machine can see it')
      .option('--password-stdin', 'read the password or token from stdin'),
    'no creds',
  ).action((server: string | undefined, flags: LoginFlags) => login(server, flags, session));
  program
    .command('logout')
    .description('forget the credentials for a registry')
    .argument('[server]', 'host[:port] of the registry (default: Docker Hub)')
    .option('--authfile <path>', 'the file to remove them from')
    .action((server: string | undefined, flags: RegistryFlags) => logout(server, flags, session));
}

async function login(server: string | undefined, flags: LoginFlags, session: Session): Promise<void> {
  refuseConflicts(flags);
  const [{ openRegistriesFor, placesFor }, { storeLogin }, domain] = await Promise.all([
    import('../wire.ts'),
    import('../../registry/login.ts'),
    domainOf(server),
  ]);
  const given = registryOptions(flags, [], session.cwd);
  const where: CredentialOptions = { ...placesFor(session), ...given };
  const registries = await openRegistriesFor(session, given);
  const check = async (username: string, password: string) => {
    try {
      await registries.checkLogin(hostOf(domain), username, password, session.signal);
    } catch (error) {
      if (!(error instanceof BuildError) || !error.facts.unprotected) throw error;
      session.err(`note: ${error.message}\n`);
    }
  };
  try {
    if (await checkExisting(domain, flags, where, check, session)) return;
    const { username, password } = await credentials(flags, session);
    await check(username, password);
    const place = await storeLogin(where, domain, username, password, session.signal);
    if (!place.startsWith('docker-credential-')) {
      session.err(
        `WARNING! Your credentials are stored unencrypted in '${printable(place)}'.\nA credential helper (credsStore, credHelpers) keeps them safer.\n`,
      );
    }
    session.out('Login Succeeded\n');
  } finally {
    await registries.close();
  }
}

function refuseConflicts({ username, password, passwordStdin }: LoginFlags): void {
  if (password !== undefined && passwordStdin) {
    throw refused('conflicting options: cannot specify both --password and --password-stdin');
  }
  if (passwordStdin && username === undefined) {
    throw refused('the --password-stdin option requires --username to be set');
  }
  if (username === '') throw refused('username is empty');
  if (password === '') throw refused('password is empty');
}

/** What is kept already is tried first when no other was given. @returns whether that sufficed */
async function checkExisting(
  domain: string,
  flags: LoginFlags,
  where: CredentialOptions,
  check: (username: string, password: string) => Promise<void>,
  session: Session,
): Promise<boolean> {
  if (flags.username !== undefined || flags.password !== undefined) return false;
  const { openCredentials } = await import('../../registry/credentials.ts');
  const slash = domain.indexOf('/');
  const path = slash < 0 ? '' : domain.slice(slash + 1);
  const known: Credential | undefined = await openCredentials(where).find(
    hostOf(domain),
    path,
    session.signal,
  );
  if (known?.kind !== 'password') return false;
  session.err(`Authenticating with existing credentials... [Username: ${printable(known.username)}]\n`);
  try {
    await check(known.username, known.password);
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'auth' || !process.stdin.isTTY) throw error;
    session.err(`${error.message}\n`);
    return false;
  }
  session.out('Login Succeeded\n');
  return true;
}

async function credentials(
  flags: LoginFlags,
  session: Session,
): Promise<{ username: string; password: string }> {
  if (flags.password !== undefined) {
    session.err('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
  }
  const asks = flags.username === undefined || (flags.password === undefined && !flags.passwordStdin);
  if (asks && !process.stdin.isTTY) {
    throw refused(
      'Cannot perform an interactive login from a non TTY device',
      'use --username with --password-stdin',
    );
  }
  const { ask } = await import('../prompt.ts');
  const terminal = { input: process.stdin, write: session.err, signal: session.signal };
  const username = flags.username ?? (await ask('Username: ', false, terminal)).trim();
  if (username === '') throw refused('username is empty');
  const password = flags.passwordStdin
    ? await passwordFromStdin()
    : (flags.password ?? (await ask('Password: ', true, terminal)));
  if (password === '') throw refused('password is empty');
  return { username, password };
}

/** One line break at the end is the editor's, not the password's. */
async function passwordFromStdin(): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    parts.push(part as Buffer);
    size += (part as Buffer).length;
    if (size > maxPasswordBytes) throw refused('the password on stdin is too long');
  }
  return Buffer.concat(parts)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

async function logout(server: string | undefined, flags: RegistryFlags, session: Session): Promise<void> {
  const [{ placesFor }, { removeLogin }, { serverName }, domain] = await Promise.all([
    import('../wire.ts'),
    import('../../registry/login.ts'),
    import('../../registry/credentials.ts'),
    domainOf(server),
  ]);
  const where: CredentialOptions = { ...placesFor(session), ...registryOptions(flags, [], session.cwd) };
  const removed = await removeLogin(where, domain, session.signal);
  const name = printable(serverName(domain));
  session.out(removed.length > 0 ? `Removing login credentials for ${name}\n` : `Not logged in to ${name}\n`);
}

/** `https://index.docker.io/v1/`, `docker.io` and nothing are Docker Hub. @throws BuildError `auth` for what is no host */
async function domainOf(server: string | undefined): Promise<string> {
  const { normalKey } = await import('../../registry/credentials.ts');
  const domain = normalKey(server ?? 'docker.io');
  if (!/^(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::\d+)?(?:\/[a-z0-9._/-]+)?$/.test(domain)) {
    throw refused(`${printable(server ?? '')} is not the name of a registry`, 'write it as host[:port]');
  }
  return domain;
}

function hostOf(domain: string): string {
  return domain.split('/')[0] ?? domain;
}

/** Docker's exit status for these is 1. */
function refused(message: string, hint?: string): BuildError {
  return new BuildError('auth', message, hint === undefined ? {} : { hint });
}
