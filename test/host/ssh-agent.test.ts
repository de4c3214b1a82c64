// The agent that a step sees.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openAgentProxy } from '../../src/host/ssh-agent.ts';

const message = (type: number, body = '') => {
  const text = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + text.length);
  head[4] = type;
  return Buffer.concat([head, text]);
};

/** An agent that answers every message with itself, and a client of a proxy in front of it. */
async function setUp(): Promise<{ client: Socket; seen: number[]; path: string; close(): Promise<void> }> {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-agent-'));
  const seen: number[] = [];
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', chunk => {
      seen.push(chunk[4] ?? -1);
      socket.write(chunk);
    });
  });
  const agent = join(dir, 'real');
  await new Promise<void>(resolve => server.listen(agent, resolve));
  const proxy = await openAgentProxy({ agent: { socket: agent }, mode: 0o600, uid: 1234, gid: 1234 });
  const client = connect(proxy.path);
  client.on('error', () => {});
  await once(client, 'connect');
  return {
    client,
    seen,
    path: proxy.path,
    async close() {
      client.destroy();
      await proxy.close();
      server.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function answer(client: Socket, request: Buffer): Promise<Buffer> {
  client.write(request);
  const [chunk] = await once(client, 'data');
  return chunk;
}

test('listing keys and signing reach the agent, also in pieces', async () => {
  const { client, seen, close } = await setUp();
  try {
    assert.deepEqual(await answer(client, message(11)), message(11));
    const sign = message(13, 'data');
    client.write(sign.subarray(0, 3));
    assert.deepEqual(await answer(client, sign.subarray(3)), sign);
    assert.deepEqual(seen, [11, 13]);
  } finally {
    await close();
  }
});

test('adding, removing, locking and extensions fail without reaching the agent', async () => {
  const { client, seen, close } = await setUp();
  try {
    for (const type of [17, 18, 19, 20, 21, 22, 23, 25, 26, 27]) {
      assert.deepEqual(await answer(client, message(type, 'x')), Buffer.from([0, 0, 0, 1, 5]));
    }
    assert.deepEqual(seen, []);
  } finally {
    await close();
  }
});

test('a message larger than any real one ends the connection', async () => {
  const { client, seen, close } = await setUp();
  try {
    client.write(Buffer.from([0x7f, 0xff, 0xff, 0xff, 11]));
    await once(client, 'close');
    assert.deepEqual(seen, []);
  } finally {
    await close();
  }
});

test('the socket belongs to the user of the step and is gone afterwards', async () => {
  const { path, close } = await setUp();
  const stat = statSync(path);
  assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o777], [1234, 1234, 0o600]);
  await close();
  assert.equal(existsSync(path), false);
});
