// The files that slipway generates for a step: /etc/hosts and /etc/resolv.conf, as BuildKit makes them.
import { readFileSync } from 'node:fs';
import type { ResolverSettings, SandboxRequest } from './sandbox.ts';

/** Addresses of --network=private: the step, this machine, and a resolver that asks this machine's. */
export const privateNetwork = { address: '10.0.2.100', gateway: '10.0.2.2', resolver: '10.0.2.3' } as const;

/** The text of /etc/hosts. */
export function hostsFile(request: Pick<SandboxRequest, 'hostname' | 'extraHosts' | 'network'>): string {
  // RUN shares the network of this machine unless it has its own.
  const machine = request.network === 'private' ? privateNetwork.gateway : '127.0.0.1';
  const lines = [
    `127.0.0.1\tlocalhost ${request.hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...request.extraHosts.map(
      ([address, name]) => `${address === 'host-gateway' ? machine : address}\t${name}`,
    ),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * The text of /etc/resolv.conf: that of the machine. A resolver on a loopback address can be reached from the machine's
 * own network only, so it is left out for any other; a private network has an address that asks those of the machine.
 * @param text the machine's file
 */
export function resolvConf(
  text: string,
  network: SandboxRequest['network'],
  dns: ResolverSettings = { servers: [], searches: [], options: [] },
): string {
  const kept = ownLines(text, network);
  const replace = (keyword: string, lines: readonly string[]) =>
    lines.length === 0 ? kept.filter(line => keywordOf(line) === keyword) : lines;
  const { servers, searches, options } = dns;
  if (servers.length + searches.length + options.length === 0) return kept.join('\n');
  const lines = [
    ...replace(
      'nameserver',
      servers.map(server => `nameserver ${server}`),
    ),
    ...replace('search', searches.length === 0 ? [] : [`search ${searches.join(' ')}`]),
    ...replace('options', options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function keywordOf(line: string): string {
  return line.trim().split(/\s+/)[0] ?? '';
}

function ownLines(text: string, network: SandboxRequest['network']): readonly string[] {
  const lines = text.split('\n');
  if (network === 'host') return lines;
  if (network === 'private') {
    const others = lines.filter(line => keywordOf(line) !== 'nameserver');
    return [`nameserver ${privateNetwork.resolver}`, ...others];
  }
  return lines.filter(line => !/^\s*nameserver\s+(127\.|::1(\s|$)|localhost(\s|$))/i.test(line));
}

/** The machine's own file; empty when there is none. */
export function hostResolvConf(path = '/etc/resolv.conf'): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
