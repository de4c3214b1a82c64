// Image references as docker understands them (distribution/reference grammar): `[host/]path[:tag][@digest]`.
// Familiar names are completed: `busybox` is docker.io/library/busybox.
import { BuildError, printable } from '../errors.ts';
import { type Digest, isDigest } from './digest.ts';

export interface Reference {
  /** Host and optional port: `docker.io`, `localhost:5000`. */
  readonly domain: string;
  /** Repository below the domain: `library/busybox`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const pathGrammar = new RegExp(`^${component}(?:/${component})*$`);
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const domainGrammar = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const tagGrammar = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/**
 * @param text as a user writes it; a missing host means Docker Hub
 * @returns the reference with `tag` and `digest` only as far as they were written; see {@link withDefaultTag}
 * @throws BuildError `usage` when the text is no reference
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  let name = at < 0 ? text : text.slice(0, at);
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, `"${digest}" is not a digest`);
  let tag: string | undefined;
  const colon = name.lastIndexOf(':');
  if (colon > name.lastIndexOf('/')) {
    tag = name.slice(colon + 1);
    name = name.slice(0, colon);
    if (!tagGrammar.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  }
  const { domain, path } = splitName(name);
  if (!domainGrammar.test(domain)) throw invalid(text, `"${domain}" is not a host name`);
  if (!pathGrammar.test(path)) {
    const lower = path !== path.toLowerCase();
    throw invalid(
      text,
      lower ? 'a repository name must be lower case' : `"${path}" is not a repository name`,
    );
  }
  if (domain.length + path.length > 254) throw invalid(text, 'the name is longer than 255 characters');
  if (/^[0-9a-f]{64}$/.test(name))
    throw invalid(text, 'a name cannot be 64 hexadecimal digits, that is an image id');
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

function splitName(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const head = slash < 0 ? '' : name.slice(0, slash);
  const isHost = /[.:]/.test(head) || head === 'localhost' || head !== head.toLowerCase();
  let domain = isHost ? head : 'docker.io';
  let path = isHost ? name.slice(slash + 1) : name;
  if (domain === 'index.docker.io') domain = 'docker.io';
  if (domain === 'docker.io' && !path.includes('/')) path = `library/${path}`;
  return { domain, path };
}

function invalid(text: string, why: string): BuildError {
  return new BuildError('usage', `"${printable(text)}" is not an image reference: ${printable(why)}`, {
    hint: 'write it as [host[:port]/]name[:tag][@sha256:...]',
  });
}

/** `latest` is added when there is neither tag nor digest. */
export function withDefaultTag(ref: Reference): Reference {
  return ref.tag || ref.digest ? ref : { ...ref, tag: 'latest' };
}

/** The full form, which two spellings of the same image share: `docker.io/library/busybox:latest`. */
export function formatReference(ref: Reference): string {
  return `${ref.domain}/${ref.path}${ref.tag ? `:${ref.tag}` : ''}${ref.digest ? `@${ref.digest}` : ''}`;
}

/** The short form that docker prints: `busybox:latest`, `quay.io/x/y:1`. */
export function familiarReference(ref: Reference): string {
  return `${familiarName(ref)}${ref.tag ? `:${ref.tag}` : ''}${ref.digest ? `@${ref.digest}` : ''}`;
}

/** The short form of the name alone, without tag and digest. */
export function familiarName(ref: Reference): string {
  if (ref.domain !== 'docker.io') return `${ref.domain}/${ref.path}`;
  const official = /^library\/([^/]+)$/.exec(ref.path)?.[1];
  return official ?? ref.path;
}
