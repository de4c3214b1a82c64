// An http proxy in front of a registry that notes what it is asked for, and can be told to break.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CountingProxy {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** `GET /v2/...`, in order. */
  readonly asked: string[];
  /** Asked for since the last call. */
  take(): string[];
  /** Answers for the registry when it returns a status. */
  breaks: (method: string, path: string) => number | undefined;
  [Symbol.asyncDispose](): Promise<void>;
}

/** @param target `127.0.0.1:port` */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const server = createServer((incoming, answer) => {
    const { method = 'GET', url = '/' } = incoming;
    proxy.asked.push(`${method} ${url}`);
    const status = proxy.breaks(method, url);
    if (status !== undefined) {
      incoming.resume();
      answer.writeHead(status).end();
      return;
    }
    const [hostname, port] = target.split(':');
    const outgoing = request({ hostname, port, method, path: url, headers: incoming.headers }, reply => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    outgoing.on('error', () => answer.destroy());
    incoming.pipe(outgoing);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const proxy: CountingProxy = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: [],
    take: () => proxy.asked.splice(0),
    breaks: () => undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
  return proxy;
}
