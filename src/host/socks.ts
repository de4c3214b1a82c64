// Connections through a SOCKS5 proxy (RFC 1928; user name and password by RFC 1929). The proxy looks names up.
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { printable } from '../errors.ts';
import { addressBytes } from './proxy.ts';

const version = 5;
const noAuthentication = 0;
const userAndPassword = 2;
const connectCommand = 1;
/** Address types. */
const ipv4 = 1;
const domainName = 3;
const ipv6 = 4;

/** By the reply's code. */
const refusals: Readonly<Record<number, string>> = {
  2: 'does not allow it',
  3: 'has no route to it',
  4: 'has no route to it',
  5: 'says that the connection is refused',
  6: 'got no answer from it',
};

/**
 * @param proxy `socks5://[user:password@]host[:port]`
 * @param host a name or an address, IPv6 with or without brackets
 * @param timeoutMs for everything together
 * @returns a socket that is connected to `host`, nothing read from it
 * @throws Error that says what the proxy did, or the system's error with its code
 */
export async function connectThroughSocks(
  proxy: URL,
  host: string,
  port: number,
  timeoutMs: number,
): Promise<Socket> {
  const socket = connect({ host: bare(proxy.hostname), port: Number(proxy.port || 1080) });
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await once(socket, 'connect', { signal });
    socket.setKeepAlive(true, 60_000);
    await greet(socket, proxy, signal);
    await ask(socket, proxy, bare(host), port, signal);
    return socket;
  } catch (error) {
    // Whatever comes now has nobody to tell.
    socket.on('error', () => {});
    socket.destroy();
    if (signal.aborted) throw Object.assign(proxyError(proxy, 'does not answer'), { code: 'ETIMEDOUT' });
    throw error;
  }
}

async function greet(socket: Socket, proxy: URL, signal: AbortSignal): Promise<void> {
  const methods = proxy.username ? [noAuthentication, userAndPassword] : [noAuthentication];
  socket.write(Buffer.from([version, methods.length, ...methods]));
  const answer = await read(socket, 2, proxy, signal);
  if (answer[0] !== version) throw proxyError(proxy, 'does not speak SOCKS5');
  if (answer[1] === noAuthentication) return;
  if (answer[1] !== userAndPassword || !proxy.username)
    throw proxyError(proxy, 'wants a user name and a password');
  const login = [proxy.username, proxy.password].map(text => Buffer.from(decodeURIComponent(text)));
  socket.write(Buffer.concat([Buffer.from([1]), ...login.map(withLength)]));
  const status = await read(socket, 2, proxy, signal);
  if (status[1] !== 0) throw proxyError(proxy, 'refuses the user name or password');
}

async function ask(
  socket: Socket,
  proxy: URL,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const request = Buffer.from([version, connectCommand, 0]);
  socket.write(Buffer.concat([request, destination(host), Buffer.from([port >> 8, port & 255])]));
  const [, status = 1, , type] = await read(socket, 4, proxy, signal);
  if (status !== 0) throw proxyError(proxy, refusals[status] ?? `failed with status ${status}`);
  // Where the proxy's own end is does not matter, but it must be out of the way.
  const length = type === ipv4 ? 4 : type === ipv6 ? 16 : ((await read(socket, 1, proxy, signal))[0] ?? 0);
  await read(socket, length + 2, proxy, signal);
}

function destination(host: string): Buffer {
  if (isIP(host) !== 0) return Buffer.from([isIP(host) === 4 ? ipv4 : ipv6, ...addressBytes(host)]);
  return Buffer.concat([Buffer.from([domainName]), withLength(Buffer.from(host))]);
}

function withLength(text: Buffer): Buffer {
  if (text.length > 255) throw new Error('a name or password is longer than SOCKS5 can say');
  return Buffer.concat([Buffer.from([text.length]), text]);
}

async function read(socket: Socket, count: number, proxy: URL, signal: AbortSignal): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < count) {
    // All there is: with a part left inside, "readable" would come again and again.
    const chunk: Buffer | null = socket.read();
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) throw proxyError(proxy, 'broke off the connection');
    else await anyOf(socket, ['readable', 'end', 'close'], signal);
  }
  if (bytes.length > count) socket.unshift(bytes.subarray(count));
  return bytes.subarray(0, count);
}

async function anyOf(socket: Socket, names: readonly string[], signal: AbortSignal): Promise<void> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  try {
    await Promise.race(names.map(name => once(socket, name, { signal: either })));
  } finally {
    settled.abort();
  }
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

/** Never with what is before the `@`. */
function proxyError(proxy: URL, what: string): Error {
  return new Error(`the proxy ${printable(proxy.host)} ${what}`);
}
