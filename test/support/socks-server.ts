// A SOCKS5 proxy (RFC 1928, RFC 1929) that leads every name to this machine and remembers what it was asked for.

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

export interface SocksServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Destinations as they were named: `registry.test:5000`. */
  readonly asked: string[];
}

/** @param status what it answers to every CONNECT; default 0, which it carries out */
export async function startSocksServer(
  options: {
    readonly login?: { readonly username: string; readonly password: string };
    readonly status?: number;
  } = {},
): Promise<SocksServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}));
    void serve(socket, options, asked).catch(() => socket.destroy());
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

async function serve(
  client: Socket,
  { login, status = 0 }: Parameters<typeof startSocksServer>[0] & object,
  asked: string[],
): Promise<void> {
  const [, methods = 0] = await take(client, 2);
  const offered = [...(await take(client, methods))];
  const method = login ? 2 : 0;
  if (!offered.includes(method)) return void client.end(Buffer.from([5, 0xff]));
  client.write(Buffer.from([5, method]));
  if (login) {
    const username = await takeText(client, 1);
    const password = await takeText(client, 0);
    const right = username === login.username && password === login.password;
    client.write(Buffer.from([1, right ? 0 : 1]));
    if (!right) return void client.end();
  }
  const [, , , type] = await take(client, 4);
  const host = type === 3 ? await takeText(client, 0) : (await take(client, type === 1 ? 4 : 16)).join('.');
  const port = (await take(client, 2)).readUInt16BE();
  asked.push(`${host}:${port}`);
  const reply = Buffer.from([5, status, 0, 1, 0, 0, 0, 0, 0, 0]);
  if (status !== 0) return void client.end(reply);
  const onward = connect(port, '127.0.0.1', () => {
    // In two pieces: whoever reads must put them together.
    client.write(reply.subarray(0, 3));
    setImmediate(() => {
      client.write(reply.subarray(3));
      onward.pipe(client).pipe(onward);
    });
  });
  onward.on('error', () => client.destroy());
  client.on('close', () => onward.destroy());
}

async function take(socket: Socket, count: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < count) {
    const chunk: Buffer | null = socket.read();
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else if (socket.readableEnded || socket.destroyed) throw new Error('the client hung up');
    else await new Promise(resolve => socket.once('readable', resolve).once('close', resolve));
  }
  socket.unshift(bytes.subarray(count));
  return bytes.subarray(0, count);
}

/** A text with its length before it, and `skip` bytes before that. */
async function takeText(socket: Socket, skip: number): Promise<string> {
  const length = (await take(socket, skip + 1)).at(-1) ?? 0;
  return length === 0 ? '' : (await take(socket, length)).toString();
}
