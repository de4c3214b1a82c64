// Platforms: `os/arch[/variant]` as users write them, the fields of OCI descriptors, and which of several fits.
// Normalisation and matching follow containerd's `platforms` package, which docker uses.
import { BuildError, printable } from '../errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

const word = /^[A-Za-z0-9_.-]+$/;

const architectures: Readonly<Record<string, readonly [string, string?]>> = {
  i386: ['386'],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  x64: ['amd64'],
  ia32: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
  loong64: ['loong64'],
};

const knownSystems = new Set(['linux', 'windows', 'darwin', 'freebsd', 'macos']);

/** What may stand alone: an unknown word may as well be a misspelt system. */
const knownArchitectures = new Set([
  ...['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le', 'ppc64', 'ppc64le'],
  ...['riscv64', 's390x', 'wasm'],
]);

/** @throws BuildError `usage` when `text` is no platform. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || parts.some(part => !word.test(part))) throw noPlatform(text);
  const [first = '', second, third] = parts;
  if (second === undefined) {
    const lower = first.toLowerCase();
    if (knownSystems.has(lower)) return normalize({ ...hostPlatform(), os: lower });
    const platform = normalize({ os: 'linux', architecture: lower });
    if (!knownArchitectures.has(platform.architecture)) throw noPlatform(text);
    return platform;
  }
  return normalize({
    os: first.toLowerCase(),
    architecture: second.toLowerCase(),
    variant: third?.toLowerCase(),
  });
}

function noPlatform(text: string): BuildError {
  return new BuildError('usage', `"${printable(text)}" is not a platform`, {
    hint: 'write it as os/architecture[/variant], for example linux/amd64 or linux/arm/v7',
  });
}

/** Canonical names: x86_64 is amd64, arm without variant is v7, arm64/v8 and amd64/v1 lose theirs. */
export function normalize(p: Omit<Platform, 'variant'> & { variant?: string | undefined }): Platform {
  const os = p.os === 'macos' ? 'darwin' : p.os;
  const [architecture, implied] = architectures[p.architecture] ?? [p.architecture];
  let variant = p.variant || implied;
  if (architecture === 'arm64' && (variant === '8' || variant === 'v8')) variant = undefined;
  if (architecture === 'amd64' && variant === 'v1') variant = undefined;
  if (architecture === 'arm') variant = variant ? (variant.startsWith('v') ? variant : `v${variant}`) : 'v7';
  return {
    os,
    architecture,
    ...(variant ? { variant } : {}),
    ...(p.osVersion ? { osVersion: p.osVersion } : {}),
    ...(p.osFeatures ? { osFeatures: p.osFeatures } : {}),
  };
}

/** `linux/arm64/v8` style text. */
export function formatPlatform(p: Platform): string {
  return [p.os, p.architecture, ...(p.variant ? [p.variant] : [])].join('/');
}

/** The platform of this machine, always Linux: that is what a container runs. */
export function hostPlatform(arch: string = process.arch): Platform {
  return normalize({ os: 'linux', architecture: arch });
}

/** @throws BuildError `integrity` when a platform out of a manifest is malformed. */
export function platformFromJson(value: unknown, what: string): Platform {
  const json = value as Record<string, unknown>;
  const { os, architecture, variant } = json;
  for (const [key, text] of Object.entries({ os, architecture, variant })) {
    if (text === undefined && key === 'variant') continue;
    if (typeof text !== 'string' || (text !== '' && !word.test(text))) {
      throw new BuildError(
        'integrity',
        `${what} has a platform with an invalid ${key}: ${printable(String(text))}`,
      );
    }
  }
  const features = json['os.features'];
  return {
    os: os as string,
    architecture: architecture as string,
    ...(variant ? { variant: variant as string } : {}),
    ...(typeof json['os.version'] === 'string' ? { osVersion: json['os.version'] } : {}),
    ...(Array.isArray(features) ? { osFeatures: features.filter(f => typeof f === 'string') } : {}),
  };
}

/** How well `candidate` serves `wanted`: undefined not at all, otherwise the smaller the better, 0 exactly. */
export function platformDistance(wanted: Platform, candidate: Platform): number | undefined {
  const want = normalize(wanted);
  const have = normalize(candidate);
  if (want.os !== have.os || want.architecture !== have.architecture) return undefined;
  if (want.osVersion && want.osVersion !== have.osVersion) return undefined;
  const level = (p: Platform) => Number(/^v(\d+)/.exec(p.variant ?? '')?.[1] ?? defaultLevel(p.architecture));
  const gap = level(want) - level(have);
  if (Number.isNaN(gap) || gap < 0) return undefined;
  return want.architecture === 'arm' && level(have) < 5 ? undefined : gap;
}

function defaultLevel(architecture: string): number {
  return architecture === 'arm64' ? 8 : architecture === 'arm' ? 7 : 1;
}
