// Flags about registries, the same for every command that talks to one, named as podman and buildah name them.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { parseDuration } from '../../dockerfile/durations.ts';
import { BuildError, printable } from '../../errors.ts';
import type { RegistriesOptions } from '../../registry/registry.ts';

export interface RegistryFlags {
  readonly authfile?: string;
  readonly creds?: string;
  readonly tlsVerify?: string;
  readonly certDir?: string;
  readonly retry?: string;
  readonly retryDelay?: string;
}

/** Adds the flags that reading and writing need; without `creds` those that every exchange with a registry needs. */
export function addRegistryOptions(command: Command, creds: 'creds' | 'no creds' = 'creds'): Command {
  command.option('--authfile <path>', 'the only file with credentials that is used');
  if (creds === 'creds') {
    command.option('--creds <user:password>', 'credentials for the registry of the image, for this run only');
  }
  return command
    .addOption(
      new Option('--tls-verify <bool>', 'false: accept plain http and any certificate').choices([
        'true',
        'false',
      ]),
    )
    .option('--cert-dir <dir>', 'certificates for registries (*.crt, *.cert, *.key) instead of certs.d')
    .option('--retry <count>', 'how often to try again what failed on the way (default: 4)')
    .option(
      '--retry-delay <duration>',
      'longest first pause between attempts, doubled each time (default: 500ms)',
    );
}

export type GivenRegistryOptions = Pick<
  RegistriesOptions,
  'authFile' | 'login' | 'insecure' | 'certDir' | 'retry'
>;

/**
 * @param hosts registries that the command was asked to talk to, as users write them; `--creds` goes to one alone
 * @throws BuildError `usage` for what cannot be understood or is not there
 */
export function registryOptions(
  flags: RegistryFlags,
  hosts: readonly string[],
  cwd: string,
): GivenRegistryOptions {
  return {
    ...(flags.authfile === undefined ? {} : { authFile: resolve(cwd, flags.authfile) }),
    ...(flags.creds === undefined ? {} : { login: { ...parseCreds(flags.creds), host: oneHost(hosts) } }),
    ...(flags.tlsVerify === 'false' ? { insecure: true } : {}),
    ...(flags.certDir === undefined ? {} : { certDir: directory(resolve(cwd, flags.certDir)) }),
    ...retry(flags),
  };
}

/** For commands that read credentials: a file that was named must be there. @throws BuildError `usage` */
export function requireAuthFile(flags: RegistryFlags, cwd: string): void {
  if (flags.authfile === undefined) return;
  const path = resolve(cwd, flags.authfile);
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    throw usage(`--authfile ${printable(path)} is not there`, 'slipway login --authfile PATH makes it');
  }
}

function parseCreds(text: string): { username: string; password: string } {
  const colon = text.indexOf(':');
  // The value is a secret: it is not quoted.
  if (colon < 1) throw usage('--creds is not user:password', 'slipway login keeps credentials for good');
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function oneHost(hosts: readonly string[]): string {
  const [host, another] = new Set(hosts);
  if (host !== undefined && another === undefined) return host;
  const why =
    host === undefined
      ? 'no registry is named'
      : `it could be for ${printable(host)} or ${printable(another ?? '')}`;
  throw usage(
    `--creds goes to one registry only: ${why}`,
    'name the image with -t HOST/NAME, or use slipway login HOST',
  );
}

function directory(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return path;
  throw usage(`--cert-dir ${printable(path)} is no directory`);
}

function retry({ retry: count, retryDelay }: RegistryFlags): Pick<RegistriesOptions, 'retry'> {
  if (count !== undefined && !/^\d{1,3}$/.test(count)) {
    throw usage(`--retry ${printable(count)} is not a number from 0 to 999`);
  }
  const nanoseconds = retryDelay === undefined ? undefined : parseDuration(retryDelay);
  if (retryDelay !== undefined && (nanoseconds === undefined || nanoseconds < 0)) {
    throw usage(`--retry-delay ${printable(retryDelay)} is not a duration`, 'write it as 500ms, 2s or 1m');
  }
  const delayMs = nanoseconds === undefined ? undefined : nanoseconds / 1e6;
  if (count === undefined && delayMs === undefined) return {};
  return {
    retry: {
      // What is asked for must have the time it takes.
      totalMs: 3_600_000,
      ...(count === undefined ? {} : { attempts: Number(count) + 1 }),
      ...(delayMs === undefined ? {} : { delayMs, maxDelayMs: Math.max(30_000, delayMs) }),
    },
  };
}

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}
