// A door in front of a registry that writes down what it was asked.
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface WatchedHost {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** `METHOD /path` of every request so far. */
  readonly asked: string[];
  close(): void;
}

/** @param behind `host:port` that speaks plain http */
export async function watchHost(behind: string): Promise<WatchedHost> {
  const asked: string[] = [];
  const [hostname = '', port = ''] = behind.split(':');
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url?.split('?')[0]}`);
    const { method, url, headers } = incoming;
    const forwarded = request({ hostname, port, method, path: url, headers }, answer => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
