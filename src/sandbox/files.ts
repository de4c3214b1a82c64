// The files that slipway generates for a step: /etc/hosts and /etc/resolv.conf, as BuildKit makes them.
import { readFileSync } from 'node:fs';
import type { SandboxRequest } from './sandbox.ts';

/** The text of /etc/hosts. */
export function hostsFile(request: Pick<SandboxRequest, 'hostname' | 'extraHosts'>): string {
  const lines = [
    `127.0.0.1\tlocalhost ${request.hostname}`,
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...request.extraHosts.map(([address, name]) => `${address}\t${name}`),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * The text of /etc/resolv.conf: that of the machine. A resolver on a loopback address can be reached from the machine's
 * own network only, so it is left out for any other.
 * @param text the machine's file
 */
export function resolvConf(text: string, network: SandboxRequest['network']): string {
  if (network === 'host') return text;
  return text
    .split('\n')
    .filter(line => !/^\s*nameserver\s+(127\.|::1(\s|$)|localhost(\s|$))/i.test(line))
    .join('\n');
}

/** The machine's own file; empty when there is none. */
export function hostResolvConf(path = '/etc/resolv.conf'): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
