// Blobs sent while they are made: the digest is known at the end only, and a registry that refuses stops nobody.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/image/digest.ts';
import { parseReference } from '../../src/image/reference.ts';
import { type Exchange, errorBody, MemoryRegistry } from '../support/memory-registry.ts';
import { never, testRegistries } from '../support/registries.ts';

const chunks = Array.from({ length: 24 }, () => randomBytes(512 * 1024));
const whole = Buffer.concat(chunks);
const uploads = /\/blobs\/uploads\//;

async function send(
  script: (registry: MemoryRegistry) => void,
  signal: AbortSignal = never,
): Promise<{ taken: boolean; registry: MemoryRegistry; patches: number }> {
  await using registry = await new MemoryRegistry().start();
  await using registries = testRegistries();
  script(registry);
  const stream = registries.stream(parseReference(`${registry.host}/app:1`), signal);
  for (const chunk of chunks) await stream.write(chunk);
  const taken = await stream.end(digestOf(whole));
  return { taken, registry, patches: registry.log.filter(line => line.startsWith('PATCH')).length };
}

describe('a blob sent while it is made', () => {
  it('arrives whole in one request, without anybody having known its digest', async () => {
    const { taken, registry, patches } = await send(() => {});
    assert.equal(taken, true);
    assert.equal(patches, 1);
    assert.ok(registry.blobs.get(digestOf(whole))?.equals(whole));
    assert.deepEqual(
      registry.log.map(line => line.split(' ')[0]),
      ['POST', 'PATCH', 'PUT'],
    );
  });

  const refusals: readonly (readonly [string, string, (x: Exchange) => void | Promise<void>])[] = [
    ['whose session is denied', 'POST', x => x.answer(403, {}, errorBody('DENIED', 'no'))],
    ['that is too large', 'PATCH', x => x.answer(413)],
    ['whose connection breaks', 'PATCH', x => x.reset()],
    [
      'that is sent on to another place',
      'PATCH',
      x => x.answer(307, { location: '/v2/app/blobs/uploads/2' }),
    ],
    ['whose digest is refused', 'PUT', x => x.answer(400, {}, errorBody('DIGEST_INVALID', 'no'))],
  ];
  for (const [what, method, handle] of refusals) {
    it(`${what} is given up without an error`, async () => {
      const { taken, registry } = await send(registry => registry.script({ method, path: uploads }, handle));
      assert.equal(taken, false);
      assert.equal(registry.blobs.size, 0);
    });
  }

  it('ends when it is not wanted any more', async () => {
    await using registry = await new MemoryRegistry().start();
    await using registries = testRegistries();
    const stream = registries.stream(parseReference(`${registry.host}/app:1`), never);
    await stream.write(chunks[0] ?? Buffer.alloc(0));
    stream.abort();
    await stream.write(whole);
    assert.equal(await stream.end(digestOf(whole)), false);
    assert.equal(registry.blobs.size, 0);
  });

  it('ends with what it was part of', async () => {
    const stop = new AbortController();
    const sent = send(
      registry => registry.script({ method: 'PATCH', path: uploads }, () => stop.abort()),
      stop.signal,
    );
    assert.equal((await sent).taken, false);
  });
});
