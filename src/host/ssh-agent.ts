// What a step gets of an SSH agent (datatracker.ietf.org/doc/draft-miller-ssh-agent): the list of keys, and signatures. Adding,
// removing and locking keys, and extensions, are answered with a failure and never reach the agent.
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canGiveOwners } from './ids.ts';

const REQUEST_IDENTITIES = 11;
const SIGN_REQUEST = 13;
const FAILURE = Buffer.from([0, 0, 0, 1, 5]);
/** As OpenSSH: AGENT_MAX_LEN. */
const LONGEST_MESSAGE = 256 * 1024;

export interface AgentProxyOptions {
  /** Socket of the agent. */
  readonly agent: string;
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
  const server = createServer(client => {
    const agent = connect(options.agent);
    for (const socket of [client, agent]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      socket.on('error', () => {
        client.destroy();
        agent.destroy();
      });
    }
    forward(client, agent);
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

function forward(client: Socket, agent: Socket): void {
  let waiting = Buffer.alloc(0);
  client.on('data', (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4) {
      const length = waiting.readUInt32BE(0);
      if (length === 0 || length > LONGEST_MESSAGE) {
        client.destroy();
        agent.destroy();
        return;
      }
      if (waiting.length < 4 + length) return;
      const message = waiting.subarray(0, 4 + length);
      waiting = waiting.subarray(4 + length);
      if (isAllowed(message[4])) agent.write(message);
      else client.write(FAILURE);
    }
  });
  client.on('end', () => agent.end());
  agent.pipe(client);
}

function isAllowed(type: number | undefined): boolean {
  return type === REQUEST_IDENTITIES || type === SIGN_REQUEST;
}
