// What kind of place an IP address is (RFC 6890): a server may name another place for its tokens or blobs, and a
// public one must not thereby reach into the network of this machine.
import { BlockList, isIP } from 'node:net';

export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local';

function list(...subnets: readonly string[]): BlockList {
  const blocks = new BlockList();
  for (const subnet of subnets) {
    const [net = '', bits] = subnet.split('/');
    blocks.addSubnet(net, Number(bits), isIP(net) === 6 ? 'ipv6' : 'ipv4');
  }
  return blocks;
}

/** Made when first asked for: reading them takes 5 ms. */
let known: ReturnType<typeof makeLists> | undefined;

function lists(): ReturnType<typeof makeLists> {
  known ??= makeLists();
  return known;
}

function makeLists() {
  return {
    loopback: list('127.0.0.0/8', '::1/128'),
    // Link-local addresses hold the metadata services of clouds; multicast and unspecified ones serve nobody.
    linkLocal: list('169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4', 'fe80::/10', 'ff00::/8'),
    inside: list(
      '0.0.0.0/8',
      '10.0.0.0/8',
      '100.64.0.0/10',
      '172.16.0.0/12',
      '192.0.0.0/24',
      '192.168.0.0/16',
    ),
    inside6: list('198.18.0.0/15', 'fc00::/7', '::/128', 'fd00:ec2::254/128'),
  };
}

/** @param address an IPv4 or IPv6 address, without brackets; anything else counts as public */
export function addressKind(address: string): AddressKind {
  const ip = embeddedIpv4(address) ?? address;
  const family = isIP(ip);
  if (family === 0) return 'public';
  const type = family === 6 ? 'ipv6' : 'ipv4';
  const { loopback, linkLocal, inside, inside6 } = lists();
  if (loopback.check(ip, type)) return 'loopback';
  if (ip === '0.0.0.0' || ip === '::') return 'loopback';
  if (linkLocal.check(ip, type)) return 'link-local';
  return inside.check(ip, type) || inside6.check(ip, type) ? 'private' : 'public';
}

/** The IPv4 address in an IPv4-mapped (::ffff:0:0/96) or NAT64 (64:ff9b::/96) one. */
function embeddedIpv4(address: string): string | undefined {
  if (isIP(address) !== 6) return undefined;
  const canonical = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const hex = /^(?:::ffff:|64:ff9b::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (!hex) return undefined;
  const value = (Number.parseInt(hex[1] ?? '0', 16) * 65536 + Number.parseInt(hex[2] ?? '0', 16)) >>> 0;
  return [24, 16, 8, 0].map(shift => (value >>> shift) & 255).join('.');
}

/** The kind of the address that a URL names by number; undefined when it names a host that DNS must find. */
export function literalKind(url: URL): AddressKind | undefined {
  const name = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(name) !== 0) return addressKind(name);
  return isLoopbackName(name) ? 'loopback' : undefined;
}

function isLoopbackName(name: string): boolean {
  return /^(?:.*\.)?localhost\.?$/i.test(name);
}

/** @param host `name[:port]` or `[v6][:port]`; true for localhost, 127.0.0.0/8 and ::1 */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return (
    isLoopbackName(name) ||
    (isIP(name) !== 0 && lists().loopback.check(name, isIP(name) === 6 ? 'ipv6' : 'ipv4'))
  );
}
