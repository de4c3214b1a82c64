// Contexts written for a test, and what a build made of them: the config, the history, the layers, the files.
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ContainerConfig, HistoryEntry } from '../../src/image/config.ts';
import { must, type Program, type RunOptions } from './program.ts';

/** Writes a context of its own. @returns its directory */
export function writeContext(slipway: Program, files: Readonly<Record<string, string | Uint8Array>>): string {
  const dir = mkdtempSync(join(slipway.dir, 'context-'));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), content);
  }
  return dir;
}

/** What the steps printed, by the plain progress. */
export function printedLines(stderr: string): readonly string[] {
  return stderr.split('\n').flatMap(line => /^#\d+ \d+\.\d+ (.*)$/.exec(line)?.[1] ?? []);
}

export interface BuiltImage {
  readonly config: ContainerConfig;
  readonly history: readonly HistoryEntry[];
  readonly created: string | undefined;
  readonly manifest: {
    readonly annotations?: Readonly<Record<string, string>>;
    readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
  };
  /** What `tar -t` says of each layer, lowest first. */
  readonly layers: readonly (readonly string[])[];
  /** The whole config, as it is stored. */
  readonly configText: string;
  readonly stderr: string;
}

/** Builds into an OCI layout and reads it. @throws Error with the output unless the build succeeds */
export async function buildImage(
  slipway: Program,
  args: readonly string[],
  options: RunOptions = {},
): Promise<BuiltImage> {
  const dest = join(mkdtempSync(join(slipway.dir, 'layout-')), 'out');
  const { stderr } = await slipway.must(
    ['build', '--progress=plain', '-o', `type=oci,tar=false,dest=${dest}`, ...args],
    options,
  );
  const blob = (digest: string) => join(dest, 'blobs', digest.replace(':', '/'));
  const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const manifest = json(blob(json(join(dest, 'index.json')).manifests[0].digest));
  const configText = readFileSync(blob(manifest.config.digest), 'utf8');
  const { config, history, created } = JSON.parse(configText);
  const layers: string[][] = [];
  for (const { digest } of manifest.layers) {
    layers.push((await must(['tar', '-tzf', blob(digest)])).split('\n').filter(Boolean));
  }
  return { config: config ?? {}, history, created, manifest, layers, configText, stderr };
}

/** Builds and reads the files: `mode uid/gid size-or-target` by path, directories with a trailing `/`. */
export async function buildFiles(
  slipway: Program,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Map<string, string>> {
  const dest = join(mkdtempSync(join(slipway.dir, 'files-')), 'out.tar');
  await slipway.must(['build', '--progress=plain', '-o', `type=tar,dest=${dest}`, ...args], options);
  const listing = await must(['tar', '--numeric-owner', '-tvf', dest]);
  const files = new Map<string, string>();
  for (const line of listing.split('\n').filter(Boolean)) {
    const [, mode = '', owner = '', size = '', rest = ''] =
      /^(\S+) (\S+) +(\S+) \S+ \S+ (.*)$/.exec(line) ?? [];
    const [path = '', target] = rest.split(/ -> | link to /, 2);
    files.set(
      path,
      [mode, owner, ...(target === undefined ? [mode[0] === '-' ? size : ''] : [target])].join(' ').trim(),
    );
  }
  return files;
}
