// Which proxy serves a URL, by the environment variables that curl and Go programs honour: HTTPS_PROXY, HTTP_PROXY,
// ALL_PROXY, NO_PROXY, in either case.
import { isIP } from 'node:net';
import { BuildError } from '../errors.ts';
import { isLoopbackHost } from './address.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Loopback hosts are always reached directly.
 * @returns the proxy's URL (http, https, socks5 or socks5h), credentials included; undefined for a direct connection
 * @throws BuildError `usage` when the variable holds no http, https or socks5 URL
 */
export function proxyFor(url: URL, env: Environment): URL | undefined {
  const read = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const own = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const name = read(own) ? own : 'ALL_PROXY';
  const value = read(name);
  if (!value || isLoopbackHost(url.host) || isExempt(url, read('NO_PROXY') ?? '')) return undefined;
  return parseProxy(value, name);
}

function parseProxy(value: string, name: string): URL {
  const text = /^[a-z0-9]+:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:', 'socks5:', 'socks5h:'].includes(url.protocol)) {
    throw new BuildError('usage', `${name} does not hold the URL of a proxy`, {
      hint: 'write it as http://host:port or socks5://host:port',
    });
  }
  return url;
}

/** NO_PROXY is a list of names (with their subdomains), addresses, CIDR blocks and `name:port`; `*` means all. */
function isExempt(url: URL, noProxy: string): boolean {
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return noProxy
    .split(/[\s,]+/)
    .filter(Boolean)
    .some(entry => matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  const withPort = /^(.*[^:]):(\d+)$/.exec(entry);
  if (withPort && isIP(entry) === 0) {
    return withPort[2] === port && matches((withPort[1] ?? '').replace(/^\[|\]$/g, ''), host, port);
  }
  if (entry.includes('/')) return inBlock(entry, host);
  const name = entry.replace(/^\*?\./, '');
  return host === name || (isIP(host) === 0 && host.endsWith(`.${name}`));
}

function inBlock(block: string, host: string): boolean {
  const [net = '', bits = ''] = block.split('/');
  if (isIP(net) === 0 || isIP(net) !== isIP(host)) return false;
  const want = addressBytes(net);
  const have = addressBytes(host);
  const length = Number(bits);
  return want.every((byte, i) => {
    const kept = Math.min(8, Math.max(0, length - 8 * i));
    return byte >> (8 - kept) === (have[i] ?? 0) >> (8 - kept);
  });
}

/** An IP address in network order. */
export function addressBytes(ip: string): readonly number[] {
  if (isIP(ip) === 4) return ip.split('.').map(Number);
  const [head = '', tail] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::');
  const words = (text: string) => (text ? text.split(':').map(word => Number.parseInt(word, 16)) : []);
  const left = words(head);
  const right = tail === undefined ? [] : words(tail);
  const all = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return all.flatMap(word => [word >> 8, word & 255]);
}
