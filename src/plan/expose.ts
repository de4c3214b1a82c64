// EXPOSE: `port`, `port/protocol`, `from-to`, and the `[ip:][host:]port` of docker run, which means its last part.
// https://docs.docker.com/reference/dockerfile/#expose
import { isIP } from 'node:net';
import { printable, type SourceRange } from '../errors.ts';
import { invalid } from './problems.ts';

const protocols = new Set(['tcp', 'udp', 'sctp']);

/**
 * @param spec one word, expanded
 * @returns `80/tcp` for each port that is meant
 * @throws BuildError `dockerfile`
 */
export function parsePorts(spec: string, range: SourceRange): string[] {
  const parts = spec.split(':');
  const [container = '', host] = [parts.at(-1), parts.at(-2)];
  const ip = parts
    .slice(0, -2)
    .join(':')
    .replace(/^\[(.*)\]$/, '$1');
  const slash = container.indexOf('/');
  const ports = slash < 0 ? container : container.slice(0, slash);
  const protocol = (slash < 0 ? '' : container.slice(slash + 1)).toLowerCase() || 'tcp';
  const name = printable(spec);
  if (ports === '') throw invalid(`EXPOSE ${name} names no port`, range);
  if (!protocols.has(protocol)) {
    throw invalid(`${printable(protocol)} is no protocol of EXPOSE`, range, {
      hint: 'write tcp, udp or sctp',
    });
  }
  if (ip !== '' && isIP(ip) === 0) throw invalid(`${printable(ip)} is no IP address`, range);
  const [first, last] = portRange(ports, range);
  if (host !== undefined && host !== '') {
    const [hostFirst, hostLast] = portRange(host, range);
    if (hostLast - hostFirst !== last - first && last !== first) {
      throw invalid(`EXPOSE ${name} has ranges of different lengths`, range);
    }
  }
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}/${protocol}`);
}

function portRange(text: string, range: SourceRange): [first: number, last: number] {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text);
  const first = Number(match?.[1] ?? Number.NaN);
  const last = Number(match?.[2] ?? first);
  if (first <= last && last <= 65535) return [first, last];
  throw invalid(`${printable(text)} is no port`, range, {
    hint: 'ports are numbers from 0 to 65535, a range is written as 8000-8010',
  });
}
