// A web server on the loopback interface for the length of a test.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** A server for as long as `work` runs. @param work gets its address without a slash at the end */
export async function served(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  work: (origin: string) => Promise<void>,
): Promise<void> {
  const server = createServer(answer);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  try {
    await work(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`);
  } finally {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  }
}
