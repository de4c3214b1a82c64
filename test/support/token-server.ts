// A token server as docker-registry expects one (distribution's token and oauth2 specifications): it checks who asks
// and signs JSON web tokens with a real key.
import { createSign, randomUUID, X509Certificate } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Issued } from './tls.ts';

export interface TokenServerSetup {
  readonly signer: Issued;
  readonly service: string;
  readonly issuer: string;
  readonly username: string;
  readonly password: string;
  /** Accepted as refresh token by POST. */
  readonly identityToken?: string;
  /** What somebody without credentials may do; default nothing. */
  readonly anonymous?: readonly string[];
  /** Scopes' actions that the user may not do, such as `push` on `repository:readonly`. */
  allows?(repository: string, action: string): boolean;
  readonly expiresInSec?: number;
  readonly tls?: Issued;
}

export interface TokenRequestSeen {
  readonly method: string;
  readonly scopes: readonly string[];
  readonly grant: 'anonymous' | 'basic' | 'refresh' | 'refused';
}

export interface TokenServer {
  readonly realm: string;
  readonly host: string;
  readonly seen: TokenRequestSeen[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startTokenServer(setup: TokenServerSetup): Promise<TokenServer> {
  const seen: TokenRequestSeen[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse) =>
    void serve(setup, seen, request, response);
  const server = setup.tls
    ? createTlsServer({ cert: setup.tls.cert, key: setup.tls.key }, handle)
    : createServer(handle);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    realm: `${setup.tls ? 'https' : 'http'}://${host}/token`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

async function serve(
  setup: TokenServerSetup,
  seen: TokenRequestSeen[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const params =
    request.method === 'POST'
      ? new URLSearchParams(await bodyOf(request))
      : new URL(request.url ?? '/', 'http://token').searchParams;
  const scopes = params
    .getAll('scope')
    .flatMap(scope => scope.split(' '))
    .filter(Boolean);
  const grant = grantOf(setup, request, params);
  seen.push({ method: request.method ?? '', scopes, grant });
  if (grant === 'refused' || (grant === 'anonymous' && !setup.anonymous)) {
    response
      .writeHead(401, { 'content-type': 'application/json' })
      .end('{"details":"incorrect username or password"}');
    return;
  }
  const token = sign(
    setup,
    scopes.map(scope => accessOf(setup, scope, grant === 'anonymous')),
  );
  const expires = { expires_in: setup.expiresInSec ?? 300 };
  const answer = request.method === 'POST' ? { access_token: token, ...expires } : { token, ...expires };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
}

function grantOf(
  setup: TokenServerSetup,
  request: IncomingMessage,
  params: URLSearchParams,
): TokenRequestSeen['grant'] {
  if (request.method === 'POST') {
    const fits =
      params.get('grant_type') === 'refresh_token' && params.get('refresh_token') === setup.identityToken;
    return fits && setup.identityToken ? 'refresh' : 'refused';
  }
  const { authorization } = request.headers;
  if (authorization === undefined) return 'anonymous';
  const expected = Buffer.from(`${setup.username}:${setup.password}`).toString('base64');
  return authorization === `Basic ${expected}` ? 'basic' : 'refused';
}

function accessOf(setup: TokenServerSetup, scope: string, anonymous: boolean): unknown {
  const [type = '', name = '', actions = ''] = scope.split(':');
  const allowed = actions
    .split(',')
    .filter(action =>
      anonymous ? setup.anonymous?.includes(action) : (setup.allows?.(name, action) ?? true),
    );
  return { type, name, actions: allowed };
}

function sign(setup: TokenServerSetup, access: readonly unknown[]): string {
  const der = new X509Certificate(setup.signer.cert).raw.toString('base64');
  const nowSec = Math.floor(Date.now() / 1000);
  const claims = {
    iss: setup.issuer,
    sub: setup.username,
    aud: setup.service,
    iat: nowSec,
    nbf: nowSec - 10,
    exp: nowSec + (setup.expiresInSec ?? 300),
    jti: randomUUID(),
    access,
  };
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${encode({ typ: 'JWT', alg: 'RS256', x5c: [der] })}.${encode(claims)}`;
  return `${body}.${createSign('RSA-SHA256').update(body).sign(setup.signer.key).toString('base64url')}`;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
