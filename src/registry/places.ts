// Which URLs that a server names may be followed, and with what (security: realm, redirect, Location, Link). Pure.
import { BuildError, printable } from '../errors.ts';
import { type AddressKind, addressKind, isLoopbackHost } from '../host/address.ts';
import { shownUrl } from '../host/http-error.ts';

/** Redirects followed for one request. */
export const maxRedirects = 10;

/**
 * Where a server may send us follows from where it is itself: one on the internet must not reach into this network,
 * one in this network may name its neighbours. Link-local addresses (cloud metadata) are never contacted.
 * @param peer the server's IP address; undefined behind a proxy, which counts as this network
 */
export function refusedKinds(peer: string | undefined): readonly AddressKind[] {
  const kind = peer === undefined || peer === '' ? 'private' : addressKind(peer);
  if (kind === 'loopback') return ['link-local'];
  if (kind === 'public') return ['link-local', 'private', 'loopback'];
  return ['link-local', 'loopback'];
}

/** @throws BuildError `network` when `location` is missing or no http(s) URL */
function parseLocation(from: URL, location: string | undefined, what: string): URL {
  const server = printable(from.host);
  if (location === undefined || location === '') {
    throw new BuildError('network', `${server} ${what} without saying where`, { facts: { host: from.host } });
  }
  const to = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  if (!to || !/^https?:$/.test(to.protocol) || location.length > 8192) {
    throw new BuildError('network', `${server} ${what} to something that is no web address`);
  }
  to.username = '';
  to.password = '';
  to.hash = '';
  return to;
}

export interface Hop {
  readonly url: URL;
  /** Another scheme, host or port: only the plain request goes there. */
  readonly crossed: boolean;
}

/**
 * Where a redirect leads. Never from https to http.
 * @throws BuildError `network` or `hostile`
 */
export function nextHop(from: URL, location: string | undefined): Hop {
  const url = parseLocation(from, location, 'redirects');
  if (from.protocol === 'https:' && url.protocol === 'http:') {
    throw new BuildError(
      'hostile',
      `${printable(from.host)} redirects from https to ${shownUrl(url)}, which is refused`,
    );
  }
  return { url, crossed: url.origin !== from.origin };
}

/**
 * Where an upload continues. A blob's bytes and credentials go to the registry itself alone; a proxy in front of it
 * that makes it believe in http is forgiven.
 * @throws BuildError `network` or `hostile`
 */
export function uploadLocation(from: URL, location: string | undefined): URL {
  const url = parseLocation(from, location, 'accepts an upload');
  if (from.protocol === 'https:' && url.protocol === 'http:') url.protocol = 'https:';
  if (url.origin === from.origin) return url;
  throw new BuildError(
    'hostile',
    `${printable(from.host)} wants an upload to go to ${printable(url.host)}, another host, which is refused`,
  );
}

/**
 * The `next` of a Link header (RFC 8288).
 * @returns undefined on the last page
 * @throws BuildError `hostile` when it leads to another host
 */
export function nextPage(from: URL, link: string | undefined): URL | undefined {
  const target = /^\s*<([^<>]{1,4096})>\s*;[^<]{0,200}?\brel="?next"?/i.exec(link ?? '')?.[1];
  if (target === undefined) return undefined;
  const url = parseLocation(from, target, 'continues a list');
  if (url.origin === from.origin) return url;
  throw new BuildError(
    'hostile',
    `${printable(from.host)} continues a list at ${printable(url.host)}, another host, which is refused`,
  );
}

/** Token servers that belong to a registry under another name. */
const knownRealms: Readonly<Record<string, string>> = {
  'registry-1.docker.io': 'auth.docker.io',
  'registry.gitlab.com': 'gitlab.com',
  'registry.connect.redhat.com': 'sso.redhat.com',
  'registry.redhat.io': 'sso.redhat.com',
};

/** Hosting services: whoever stands below one of these is a stranger to the next. */
const hostingDomains = [
  ...['azurecr.io', 'github.io', 'gitlab.io', 'amazonaws.com', 'cloudfront.net', 'googleusercontent.com'],
  ...[
    'azurewebsites.net',
    'herokuapp.com',
    'pages.dev',
    'workers.dev',
    'vercel.app',
    'netlify.app',
    'run.app',
  ],
  ...['ngrok.io', 'ngrok-free.app', 'nip.io', 'sslip.io', 'duckdns.org', 'pkg.dev', 'appspot.com', 'fly.dev'],
];

/** Two-label endings that are sold like `.com`. */
const publicSuffix = /^(?:ac|co|com|edu|gov|ne|net|nom|or|org)\.[a-z]{2}$/;

/** What is decided about a realm before it is asked for a token. */
export interface RealmDecision {
  readonly url: URL;
  /** Credentials may be shown to it. */
  readonly trusted: boolean;
}

/**
 * @param registry URL of the registry that named the realm
 * @param trustedRealms `registry=realm` pairs of hosts, from the user
 * @throws BuildError `hostile` or `network` when it must not be asked at all
 */
export function decideRealm(
  registry: URL,
  realm: string | undefined,
  trustedRealms: readonly string[],
): RealmDecision {
  const shown = printable(registry.host);
  if (realm === undefined || !URL.canParse(realm) || realm.length > 4096) {
    throw new BuildError('network', `${shown} asks for a token without saying where to get one`);
  }
  const url = new URL(realm);
  if (url.protocol !== 'https:' && (url.protocol !== 'http:' || registry.protocol === 'https:')) {
    throw new BuildError(
      'hostile',
      `${shown} sends to ${shownUrl(url)} for a token, which is not https and is refused`,
    );
  }
  url.username = '';
  url.password = '';
  const listed = trustedRealms.some(pair => pair === `${registry.host}=${url.host}`);
  const known = knownRealms[registry.host] === url.host || sameSite(registry.hostname, url.hostname);
  const plainElsewhere = url.protocol === 'http:' && url.host !== registry.host && !isLoopbackHost(url.host);
  return { url, trusted: listed || (known && !plainElsewhere) };
}

/** The same name, or names under one organisation's domain: registry.example.com and gitlab.example.com. */
function sameSite(a: string, b: string): boolean {
  if (a === b) return true;
  if (/^[\d.]+$|^\[/.test(a) || /^[\d.]+$|^\[/.test(b)) return false;
  const domain = commonDomain(a.split('.'), b.split('.'));
  if (domain === undefined || publicSuffix.test(domain)) return false;
  return !hostingDomains.some(shared => domain === shared || domain.endsWith(`.${shared}`));
}

function commonDomain(a: readonly string[], b: readonly string[]): string | undefined {
  const parents = (labels: readonly string[]) =>
    [labels, labels.slice(1)].filter(parent => parent.length >= 2).map(parent => parent.join('.'));
  return parents(a).find(parent => parents(b).includes(parent));
}
