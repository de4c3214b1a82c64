// Hand-over to a Docker or Podman engine on this machine: the archive of `docker load` as the body of POST /images/load
// (https://docs.docker.com/reference/api/engine/, which Podman's service speaks too), written while it is sent.
import { lstatSync } from 'node:fs';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { Writable } from 'node:stream';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import type { Destination } from '../export/destination.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where an engine listens. */
export type EngineAddress =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/**
 * DOCKER_HOST or CONTAINER_HOST, else the first socket that is there: Docker's, Podman's of this user, Podman's.
 * @throws BuildError `usage` for an address of another kind, `not-found` when there is none
 */
export function findEngine(env: Environment, uid: number): EngineAddress {
  const given = env.DOCKER_HOST || env.CONTAINER_HOST;
  if (given) return parseAddress(given);
  const run = env.XDG_RUNTIME_DIR || `/run/user/${uid}`;
  const places = [
    '/var/run/docker.sock',
    `${run}/docker.sock`,
    `${run}/podman/podman.sock`,
    '/run/podman/podman.sock',
  ];
  const path = places.find(place => lstatSync(place, { throwIfNoEntry: false }) !== undefined);
  if (path) return { kind: 'socket', path };
  throw new BuildError('not-found', 'there is no Docker or Podman engine on this machine', {
    hint: `set DOCKER_HOST, or write an archive with -o type=docker,dest=FILE; looked at ${places.join(', ')}`,
  });
}

function parseAddress(text: string): EngineAddress {
  const socket = /^unix:\/\/(\/.+)$/.exec(text)?.[1];
  if (socket) return { kind: 'socket', path: socket };
  const [, host, port] = /^(?:tcp|http):\/\/(\[[0-9a-fA-F:]+\]|[^:/]+):(\d+)\/?$/.exec(text) ?? [];
  if (host && port) return { kind: 'tcp', host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  throw new BuildError('unsupported', `an engine at "${printable(text)}" cannot be reached from here`, {
    hint: 'unix:///path/to/socket and tcp://host:port can',
  });
}

export function showEngine(address: EngineAddress): string {
  return address.kind === 'socket' ? `unix://${address.path}` : `tcp://${address.host}:${address.port}`;
}

/** A destination for an archive; `commit` resolves when the engine has taken it. */
export interface EngineDestination extends Destination {
  /** What the engine said, line by line: `Loaded image: app:latest`. */
  readonly said: readonly string[];
}

/** Nothing is sent before the first byte is written. */
export function openEngine(address: EngineAddress, signal: AbortSignal): EngineDestination {
  const where = showEngine(address);
  const options: RequestOptions = {
    method: 'POST',
    path: '/images/load?quiet=1',
    headers: { 'content-type': 'application/x-tar', 'transfer-encoding': 'chunked', host: 'docker' },
    signal,
    ...(address.kind === 'socket'
      ? { socketPath: address.path }
      : { host: address.host, port: address.port }),
  };
  const said: string[] = [];
  let answered: Promise<void> | undefined;
  let outgoing: ReturnType<typeof request> | undefined;
  const begin = () => {
    const sending = request(options);
    outgoing = sending;
    answered = new Promise<void>((resolve, reject) => {
      sending.on('response', answer => readAnswer(answer, said, where).then(resolve, reject));
      sending.on('error', error => reject(unreachable(error, where)));
    });
    answered.catch(error => stream.destroy(error));
    return sending;
  };
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      if (!(outgoing ?? begin()).write(chunk)) outgoing?.once('drain', done);
      else done();
    },
    final: done => {
      (outgoing ?? begin()).end(() => done());
    },
  });
  stream.on('error', () => {}); // told by whoever writes, or by commit
  return {
    stream,
    said,
    to: where,
    async commit() {
      await answered;
    },
    async [Symbol.asyncDispose]() {
      outgoing?.destroy();
      stream.destroy();
    },
  };
}

function unreachable(error: Error, where: string): BuildError {
  const hints: Readonly<Record<string, string>> = {
    EACCES: 'you may not use that socket: run as its user or group',
    ENOENT: 'there is no such socket',
    ECONNREFUSED: 'nothing listens there: start the engine',
  };
  const hint = hints[errnoOf(error) ?? ''];
  return new BuildError('output', `the engine at ${where} cannot be reached: ${messageOf(error)}`, {
    cause: error,
    ...(hint ? { hint } : {}),
  });
}

const maxAnswerBytes = 1024 * 1024;

/** JSON documents in a row; an error may come after a good status. */
async function readAnswer(answer: IncomingMessage, said: string[], where: string): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += (chunk as Buffer).length;
    if (size > maxAnswerBytes) break;
    chunks.push(chunk as Buffer);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  const problems: string[] = [];
  for (const line of text.split('\n').filter(part => part.trim() !== '')) {
    const { stream, error, message } = parseLine(line);
    if (typeof stream === 'string') said.push(...stream.split('\n').filter(Boolean));
    if (typeof error === 'string') problems.push(error);
    if (typeof message === 'string') problems.push(message);
  }
  if (answer.statusCode === 200 && problems.length === 0) return;
  const why = problems[0] ?? `it answered with status ${answer.statusCode}`;
  throw new BuildError('output', `the engine at ${where} did not take the image: ${printable(why)}`, {
    facts: { status: answer.statusCode ?? 0 },
  });
}

function parseLine(line: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(line);
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
