import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { type Download, makeDownload, safeName } from '../../src/context/download.ts';
import { type Http, openHttp } from '../../src/host/http.ts';
import { defaultRetry } from '../../src/host/retry.ts';
import { digestOf } from '../../src/image/digest.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-download-'));
after(() => rmSync(base, { recursive: true, force: true }));

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
let handle: Handler = (_, response) => response.end();
let requests: IncomingMessage[] = [];
const server = createServer((request, response) => {
  requests.push(request);
  handle(request, response);
});
let http: Http;
let download: Download;
let origin = '';
let to = '';
let count = 0;

beforeEach(async () => {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  requests = [];
  to = join(base, String(++count));
  http = openHttp({ env: {} });
  download = makeDownload(http, { ...defaultRetry, sleep: async () => undefined });
});
afterEach(async () => {
  await http.close();
  await new Promise(resolve => server.close(resolve));
});

const get = (path: string, extra = {}) =>
  download({ url: origin + path, to, signal: new AbortController().signal, ...extra });

describe('a download', () => {
  test('is hashed while it is written, with what its headers say', async () => {
    handle = (_, response) => {
      response.setHeader('last-modified', 'Sun, 13 Sep 2020 12:26:40 GMT');
      response.setHeader('content-disposition', 'attachment; filename="a b.tar"');
      response.end('hello');
    };
    const { contentType: _, ...got } = await get('/x');
    assert.deepEqual(got, {
      size: 5,
      digest: digestOf('hello'),
      lastModifiedSec: 1_600_000_000,
      name: 'a b.tar',
      validator: { kind: 'last-modified', text: 'Sun, 13 Sep 2020 12:26:40 GMT' },
    });
    assert.equal(readFileSync(to, 'utf8'), 'hello');
  });

  test('can be asked for again with a strong tag, or a time that is no longer fresh', async () => {
    const given = async (headers: Record<string, string>) => {
      handle = (_, response) => {
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
        response.end('hello');
      };
      return (await get('/x')).validator;
    };
    const time = 'Sun, 13 Sep 2020 12:26:40 GMT';
    assert.deepEqual(await given({ etag: '"a"', 'last-modified': time }), { kind: 'etag', text: '"a"' });
    assert.deepEqual(await given({ etag: 'W/"a"' }), undefined);
    assert.deepEqual(await given({ etag: 'a' }), undefined);
    assert.deepEqual(await given({ 'last-modified': new Date().toUTCString() }), undefined);
    assert.deepEqual(await given({ 'last-modified': 'yesterday' }), undefined);
  });
  test('follows redirects and gives nobody else the credentials', async () => {
    handle = (request, response) => {
      if (request.url === '/end') response.end('there');
      else response.writeHead(302, { location: `${origin.replace('127.0.0.1', 'localhost')}/end` }).end();
    };
    await download({ url: origin.replace('//', '//me:pass@'), to, signal: new AbortController().signal });
    const basic = `Basic ${Buffer.from('me:pass').toString('base64')}`;
    assert.deepEqual(
      requests.map(r => r.headers.authorization),
      [basic, undefined],
    );
  });
  test('is tried again after a passing failure', async () => {
    handle = (_, response) => {
      if (requests.length < 3) response.writeHead(503).end();
      else response.end('at last');
    };
    assert.equal((await get('/x')).size, 7);
  });
  const failing: [string, Handler, string][] = [
    ['a missing file', (_, r) => r.writeHead(404).end(), 'not-found'],
    ['a forbidden file', (_, r) => r.writeHead(403).end(), 'auth'],
    ['a redirect in a circle', (_, r) => r.writeHead(302, { location: '/again' }).end(), 'network'],
    ['a redirect to nowhere', (_, r) => r.writeHead(302).end(), 'network'],
    ['a redirect to a file', (_, r) => r.writeHead(302, { location: 'file:///etc/passwd' }).end(), 'hostile'],
    [
      'a redirect to a metadata service',
      (_, r) => r.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
      'hostile',
    ],
    ['more bytes than wanted', (_, r) => r.end('x'.repeat(2000)), 'network'],
  ];
  for (const [name, handler, code] of failing) {
    test(`ends with ${code} for ${name}, and nothing is kept`, async () => {
      handle = handler;
      await assert.rejects(get('/x', { maxBytes: 1000 }), { code });
      assert.equal(existsSync(to), false);
    });
  }
  test('is for http and https only', async () => {
    await assert.rejects(download({ url: 'ftp://h/x', to, signal: new AbortController().signal }), {
      code: 'context',
    });
  });
});

describe('the name that a server gives', () => {
  const cases: [string, string | undefined][] = [
    ['a.tar', 'a.tar'],
    ['../../canary', 'canary'],
    ['..\\..\\canary', 'canary'],
    ['/etc/passwd', 'passwd'],
    ['..', undefined],
    ['a/', undefined],
    ['', undefined],
    ['a\0b', undefined],
    ['a\nb', undefined],
    ['n'.repeat(256), undefined],
    ['n'.repeat(255), 'n'.repeat(255)],
  ];
  for (const [given, expected] of cases) {
    test(`${JSON.stringify(given.slice(0, 20))} becomes ${expected?.slice(0, 20) ?? 'none'}`, () =>
      assert.equal(safeName(given), expected));
  }
});
