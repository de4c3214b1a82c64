// What a program can ask of a build, and the command line that says the same.
import { BuildError } from '../errors.ts';
import type { Listener } from './messages.ts';

type Pairs = Readonly<Record<string, string>>;

/** Fields are named after the flags of `slipway build`; docs/cli.md says more of each. */
export interface ImageBuild extends Listener {
  /** A directory, tar file, git or http URL; `-` reads `stdin`. */
  readonly context: string;
  /** A Dockerfile (or a tar of the context), where `context` or `file` is `-`. */
  readonly stdin?: string | Uint8Array;
  /** Path of the Dockerfile. Default: Dockerfile in the context. */
  readonly file?: string;
  /** Names of the image: `[host/]name[:tag]`. */
  readonly tags?: readonly string[];
  /** `type=docker,dest=app.tar`, as for `-o`, but nothing can go to stdout. Default: the local store. */
  readonly outputs?: readonly string[];
  readonly target?: string;
  readonly buildArgs?: Pairs;
  readonly buildContexts?: Pairs;
  readonly platforms?: readonly string[];
  readonly labels?: Pairs;
  readonly annotations?: Pairs;
  /** Values, which reach the command through its environment and no command line. */
  readonly secrets?: Pairs;
  /** Default false. */
  readonly squash?: boolean;
  /** Default false. */
  readonly noCache?: boolean;
  /** When base images are looked up in their registry. Default missing. */
  readonly pull?: 'missing' | 'always' | 'never';
  /** Default false: only to outputs that say so. */
  readonly push?: boolean;
  readonly network?: string;
  /** Further flags, as on the command line: `['--no-cache-filter=test']`. */
  readonly flags?: readonly string[];
  /** Directory of the local store. Default: as the command has it. */
  readonly root?: string;
  /** What relative paths are relative to. Default: the current directory. */
  readonly cwd?: string;
  /** Default: process.env. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the build; what has been finished of it stays in the cache. */
  readonly signal?: AbortSignal;
}

export interface Invocation {
  readonly args: readonly string[];
  /** Environment variables that hold the secrets. */
  readonly secrets: Pairs;
}

/** @throws BuildError `usage` for an output that needs stdout, or secrets whose names cannot be flags */
export function argumentsOf(build: ImageBuild): Invocation {
  const secrets: Record<string, string> = {};
  const secretFlags = Object.entries(build.secrets ?? {}).map(([id, value], i) => {
    if (/[,=]/.test(id)) throw new BuildError('usage', `a secret cannot be called "${id}"`);
    secrets[`SLIPWAY_SECRET_${i}`] = value;
    return `--secret=id=${id},env=SLIPWAY_SECRET_${i}`;
  });
  const { outputs = [] } = build;
  const stdout = outputs.find(text => text === '-' || /(?:^|,)dest=-(?:,|$)/.test(text));
  if (stdout !== undefined) throw new BuildError('usage', `the output "${stdout}" needs a dest: a file`);
  return {
    args: [
      ...(build.root === undefined ? [] : ['--root', build.root]),
      'build',
      '--progress=rawjson',
      ...each('file', build.file === undefined ? [] : [build.file]),
      ...each('tag', build.tags),
      ...each('output', outputs),
      ...each('target', build.target === undefined ? [] : [build.target]),
      ...each('build-arg', pairs(build.buildArgs)),
      ...each('build-context', pairs(build.buildContexts)),
      ...each('platform', build.platforms),
      ...each('label', pairs(build.labels)),
      ...each('annotation', pairs(build.annotations)),
      ...secretFlags,
      ...(build.squash ? ['--squash'] : []),
      ...(build.noCache ? ['--no-cache'] : []),
      ...(build.pull === undefined ? [] : [`--pull=${build.pull}`]),
      ...(build.push ? ['--push'] : []),
      ...each('network', build.network === undefined ? [] : [build.network]),
      ...(build.flags ?? []),
      '--',
      build.context,
    ],
    secrets,
  };
}

function each(flag: string, values: readonly string[] = []): string[] {
  return values.map(value => `--${flag}=${value}`);
}

function pairs(values: Pairs = {}): string[] {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`);
}
