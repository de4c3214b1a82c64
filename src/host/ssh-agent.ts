// What a step gets of an SSH agent (datatracker.ietf.org/doc/draft-miller-ssh-agent): the list of keys, and signatures. Adding,
// removing and locking keys, and extensions, are answered with a failure and never reach the agent. Behind it is an agent
// of the user, or key files, for which slipway answers itself.
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canGiveOwners } from './ids.ts';
import type { SshKey } from './ssh-keys.ts';
import { SshReader, sshString } from './ssh-wire.ts';

const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
const FAILURE = Buffer.from([0, 0, 0, 1, 5]);
/** As OpenSSH: AGENT_MAX_LEN. */
const LONGEST_MESSAGE = 256 * 1024;

/** What `--ssh` lends: an agent by its socket, or keys. */
export type SshSource = { readonly socket: string } | { readonly keys: readonly SshKey[] };

export interface AgentProxyOptions {
  readonly agent: SshSource;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface AgentProxy {
  /** Socket for the step. */
  readonly path: string;
  close(): Promise<void>;
}

/** Listens on a socket of its own until it is closed. @throws a system error */
export async function openAgentProxy(options: AgentProxyOptions): Promise<AgentProxy> {
  // Short, because the path of a socket has 107 bytes at most.
  const dir = mkdtempSync(join(tmpdir(), 'slipway-ssh-'));
  const path = join(dir, 'agent');
  const open = new Set<Socket>();
  const watch = (socket: Socket, onError: () => void) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', onError);
  };
  const { agent } = options;
  const server = createServer(client => {
    if ('socket' in agent) forward(client, connect(agent.socket), watch);
    else answer(client, agent.keys, watch);
  });
  const close = async () => {
    for (const socket of open) socket.destroy();
    await new Promise<void>(resolve => server.close(() => resolve()));
    rmSync(dir, { recursive: true, force: true });
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  if (canGiveOwners()) chownSync(path, options.uid, options.gid);
  chmodSync(path, options.mode);
  return { path, close };
}

type Watch = (socket: Socket, onError: () => void) => void;

function forward(client: Socket, agent: Socket, watch: Watch): void {
  const end = () => {
    client.destroy();
    agent.destroy();
  };
  watch(client, end);
  watch(agent, end);
  onMessage(client, end, message => {
    if (isAllowed(message[4])) agent.write(message);
    else client.write(FAILURE);
  });
  client.on('end', () => agent.end());
  agent.pipe(client);
}

function answer(client: Socket, keys: readonly SshKey[], watch: Watch): void {
  const end = () => client.destroy();
  watch(client, end);
  onMessage(client, end, message => client.write(answerOf(message, keys)));
}

function answerOf(message: Buffer, keys: readonly SshKey[]): Buffer {
  const type = message[4];
  if (type === REQUEST_IDENTITIES) {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(keys.length);
    const list = keys.flatMap(key => [sshString(key.publicKey), sshString(key.comment)]);
    return sshString(Buffer.concat([Buffer.from([IDENTITIES_ANSWER]), count, ...list]));
  }
  if (type !== SIGN_REQUEST) return FAILURE;
  try {
    const request = new SshReader(message, 5);
    const [wanted, data, flags] = [request.string(), request.string(), request.uint32()];
    const key = keys.find(({ publicKey }) => publicKey.equals(wanted));
    if (key === undefined) return FAILURE;
    return sshString(Buffer.concat([Buffer.from([SIGN_RESPONSE]), sshString(key.sign(data, flags))]));
  } catch {
    return FAILURE;
  }
}

/** Calls back with each whole message, its length included. One that no agent would take ends the connection. */
function onMessage(client: Socket, refuse: () => void, take: (message: Buffer) => void): void {
  let waiting = Buffer.alloc(0);
  client.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4) {
      const length = waiting.readUInt32BE(0);
      if (length === 0 || length > LONGEST_MESSAGE) return refuse();
      if (waiting.length < 4 + length) return;
      const message = waiting.subarray(0, 4 + length);
      waiting = waiting.subarray(4 + length);
      take(message);
    }
  });
}

function isAllowed(type: number | undefined): boolean {
  return type === REQUEST_IDENTITIES || type === SIGN_REQUEST;
}
