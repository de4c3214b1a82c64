// A network of the step's own that reaches the world through a program in user space: pasta (passt.top) or
// slirp4netns (github.com/rootless-containers/slirp4netns), whichever is installed and works. Both give the step the
// same addresses. The loopback interface is the step's own; this machine's can be reached, at `gateway`, only when
// the user gave it a name (--add-host NAME:host-gateway).
import { readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildError, errnoOf, messageOf } from '../errors.ts';
import { bindMount, unmount } from '../host/mount.ts';
import { findProgram } from '../host/probe.ts';
import { throwIfInterrupted } from '../host/process.ts';
import { privateNetwork } from './files.ts';
import { startHolder } from './launcher/holder.ts';
import { call, named } from './launcher/launcher.ts';
import { cloneFlags, launch, supervised, tied } from './launcher/supervise.ts';
import { makeRunDirectory } from './runtime-directory.ts';
import type { SandboxRequest } from './sandbox.ts';

export interface PrivateNetwork {
  /** A file that stands for the network namespace. */
  readonly path: string;
  [Symbol.asyncDispose](): Promise<void>;
}

const INTERFACE = 'tap0';
/** Both take some hundredths of a second; on a machine that is busy, more. */
const PATIENCE_MS = 20_000;
const POLL_MS = 5;

interface Helper {
  readonly name: string;
  readonly debian: string;
  /** @param network file of the namespace */
  argv(network: string, wanted: Wanted): readonly string[];
}

interface Wanted {
  /** This machine's loopback can be reached at the gateway. */
  readonly host: boolean;
  /** This machine's name servers can be asked at the address of the resolver. */
  readonly resolver: boolean;
}

const helpers: readonly Helper[] = [
  {
    name: 'pasta',
    debian: 'passt',
    argv: (network, { host, resolver }) => [
      ...['--foreground', '--stderr', '--config-net', '--ipv4-only', '--runas', '0'],
      // Otherwise ports of one side that are listened on appear on the other by themselves.
      ...['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'],
      ...['--address', privateNetwork.address, '--netmask', '24', '--gateway', privateNetwork.gateway],
      ...['--ns-ifname', INTERFACE],
      // Takes the answers of those servers for its own, also when they were asked directly.
      ...(resolver ? ['--dns-forward', privateNetwork.resolver] : []),
      ...(host ? [] : ['--no-map-gw']),
      ...['--netns', network],
    ],
  },
  {
    name: 'slirp4netns',
    debian: 'slirp4netns',
    argv: (network, { host }) => [
      ...['--configure', '--mtu=65520', '--enable-sandbox', '--enable-seccomp'],
      ...(host ? [] : ['--disable-host-loopback']),
      ...['--netns-type=path', network, INTERFACE],
    ],
  },
];

/**
 * Makes a network for one step. It ends with slipway, however that ends.
 * @throws BuildError `sandbox` when no helper is installed or none works, with the reason for each
 */
export async function openPrivateNetwork(
  request: Pick<SandboxRequest, 'extraHosts' | 'signal' | 'dns'>,
  path = process.env.PATH,
): Promise<PrivateNetwork> {
  const dir = makeRunDirectory();
  const network = join(dir, 'network');
  const wanted = {
    host: request.extraHosts.some(([address]) => address === 'host-gateway'),
    resolver: !request.dns?.servers.length,
  };
  const reasons: string[] = [];
  const holder = await startHolder([
    ...tied(process.pid),
    named('make a network namespace', call('unshare', cloneFlags.newNet)),
  ]);
  const clean = async () => {
    holder[Symbol.dispose]();
    unmount(network);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    writeFileSync(network, '');
    bindMount(`/proc/${holder.pid}/ns/net`, network);
    for (const helper of helpers) {
      const program = findProgram(helper.name, path);
      if (program === undefined) {
        reasons.push(`${helper.name} is not installed`);
        continue;
      }
      const started = await start(
        [program, ...helper.argv(network, wanted)],
        holder.pid,
        dir,
        request.signal,
      );
      if (typeof started !== 'string') {
        return { path: network, [Symbol.asyncDispose]: () => started.stop().finally(clean) };
      }
      reasons.push(`${helper.name}: ${started}`);
    }
  } catch (error) {
    await clean();
    throw error;
  }
  await clean();
  throw new BuildError('sandbox', `a private network cannot be made: ${reasons.join('; ')}`, {
    hint: `install ${helpers.map(({ debian }) => debian).join(' or ')}, or build with another --network`,
  });
}

/** @returns why it does not work, or how to end it */
async function start(
  argv: readonly string[],
  holder: number,
  dir: string,
  signal: AbortSignal,
): Promise<{ stop(): Promise<void> } | string> {
  const stop = new AbortController();
  const said: Buffer[] = [];
  const steps = [
    { kind: 'fork', flags: 0, child: [named(argv[0] ?? '', call('execve', argv[0] ?? '', argv, [PATH]))] },
  ] as const;
  let ended: string | undefined;
  const running = launch(supervised(steps, { parent: process.pid }), {
    dir,
    signal: stop.signal,
    onOutput: (_stream, chunk) => said.push(chunk),
  }).then(
    () => {
      ended = complaint(Buffer.concat(said).toString('latin1'));
    },
    (error: unknown) => {
      ended = messageOf(error);
    },
  );
  const finish = async () => {
    stop.abort();
    await running;
  };
  const patience = performance.now() + PATIENCE_MS;
  while (!isUp(holder)) {
    if (ended === undefined && performance.now() > patience) ended = 'its interface does not come up';
    if (ended !== undefined || signal.aborted) {
      await finish();
      throwIfInterrupted(signal);
      return ended ?? '';
    }
    await sleep(POLL_MS);
  }
  return { stop: finish };
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The interface is there once a default route leads to it (net/route: interface, destination, gateway in hex). */
function isUp(holder: number): boolean {
  try {
    const table = readFileSync(`/proc/${holder}/net/route`, 'latin1');
    return new RegExp(`^${INTERFACE}\\t00000000\\t(?!00000000)`, 'm').test(table);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return false;
  }
}

/** The last line that says something: both write about other things as well. */
function complaint(output: string): string {
  const lines = output.split('\n').map(line => line.trim());
  return lines.findLast(line => line !== '' && !/syslog|^WARNING/i.test(line)) ?? 'it ended at once';
}
