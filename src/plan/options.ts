// What a plan is asked for: target, build args, platforms and named contexts.

import { formatPlatform, normalize, type Platform, parsePlatform } from '../image/platform.ts';
import { familiarReference, parseReference, withDefaultTag } from '../image/reference.ts';

/** What `--build-context name=...` puts in the place of a stage, an image or a `--from` name. */
export type NamedContext =
  /** A directory, or a git or http context: anything that is files without an image config. */
  | { readonly kind: 'directory' }
  /** An image; `reference` as BaseRequest has it: `busybox`, `oci-layout:///path:tag`. */
  | { readonly kind: 'image'; readonly reference: string }
  /** A stage of the same Dockerfile, by name. */
  | { readonly kind: 'target'; readonly stage: string };

export interface PlanOptions {
  /** Stage name (any case) or index. Default: the last stage. */
  readonly target?: string;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** What is built for. */
  readonly platform: Platform;
  /** The user asked for `platform`, so the image says that one whatever the base says. Default false. */
  readonly platformRequested?: boolean;
  /** Where the build runs. */
  readonly buildPlatform: Platform;
  /** By name, which may end in `::<platform>` and then serves that platform alone. */
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
  /** Plans stages that the target does not need as well. Default false. */
  readonly keepUnused?: boolean;
  /** SOURCE_DATE_EPOCH names something without a date (epoch.ts): it counts as not set. Default false. */
  readonly undated?: boolean;
}

/** Options for a build on this machine without arguments; callers override what they know. */
export function planOptions(platform: Platform, more: Partial<PlanOptions> = {}): PlanOptions {
  return { buildArgs: new Map(), platform, buildPlatform: platform, namedContexts: new Map(), ...more };
}

export interface FoundContext {
  /** The key in `namedContexts`. */
  readonly name: string;
  readonly context: NamedContext;
}

/**
 * The named context that stands for `name`, a platform's own before a general one. `alpine`, `alpine:latest` and
 * `docker.io/library/alpine` are one name. `scratch` and `context` can not be replaced.
 */
export function findContext(
  options: PlanOptions,
  name: string,
  platform: Platform,
): FoundContext | undefined {
  if (options.namedContexts.size === 0 || /^(?:scratch|context)$/i.test(name)) return undefined;
  const wanted = shortName(name);
  const wantedPlatform = formatPlatform(normalize(platform));
  let general: FoundContext | undefined;
  for (const [key, context] of options.namedContexts) {
    const [keyName = '', keyPlatform] = key.split('::', 2);
    if (shortName(keyName) !== wanted) continue;
    if (keyPlatform === undefined) general ??= { name: key, context };
    else if (formatPlatform(parsePlatform(keyPlatform)) === wantedPlatform) return { name: key, context };
  }
  return general;
}

/** `docker.io/library/alpine:latest` is `alpine`; what is no image reference stays as it is, in lower case. */
function shortName(name: string): string {
  try {
    return familiarReference(withDefaultTag(parseReference(name))).replace(/:latest$/, '');
  } catch {
    return name.toLowerCase();
  }
}
