// What a build is asked for. cli/options/ makes one out of argv; library callers write it themselves.
import type { OutputSpec } from '../export/output-spec.ts';
import type { SshSource } from '../host/ssh-agent.ts';
import type { Platform } from '../image/platform.ts';
import type { Reference } from '../image/reference.ts';
import type { StepSettings } from '../sandbox/sandbox.ts';
import type { MountSource, MountTarget } from './cache-mounts/place.ts';
import type { CacheSource, CacheTarget } from './cache-spec.ts';

export type PullPolicy = 'missing' | 'always' | 'never';

/** Which devices the user lets the Dockerfile have. */
export interface DeviceAllowance {
  readonly all: boolean;
  /** Names as --device has them. With an alias, the Dockerfile asks by that. */
  readonly names: readonly { readonly name: string; readonly alias?: string }[];
}

export interface BuildRequest {
  /** A directory, `-`, a tar file, a git or http URL. */
  readonly context: string;
  /** `-f`: path of the Dockerfile relative to `cwd`, or `-`; absent: looked for in the context. */
  readonly file?: string;
  readonly cwd: string;
  /** Values of `--build-arg`, those taken from the environment included. */
  readonly buildArgs: ReadonlyMap<string, string>;
  /** Stage name or index; absent: the last stage. */
  readonly target?: string;
  /** Also stages that the target does not need are built. Default false. */
  readonly keepUnused?: boolean;
  /** Absent: the machine's. */
  readonly platform?: Platform;
  /** One image for each, under an index; `platform` is then the first of them. Absent or empty: `platform` alone. */
  readonly platforms?: readonly Platform[];
  readonly namedContexts: ReadonlyMap<string, string>;
  readonly tags: readonly Reference[];
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
  readonly outputs: readonly OutputSpec[];
  /** One layer on top of the base. Default false. */
  readonly squash: boolean;
  /** Nothing is taken from the cache; results are still recorded. Default false. */
  readonly noCache: boolean;
  /** Stages (names) whose steps are not taken from the cache. */
  readonly noCacheFilter: readonly string[];
  /** What earlier builds left in the cache mounts of executed steps is thrown away. Default false. */
  readonly freshCacheMounts?: boolean;
  /** Where empty cache mounts are filled from, the first that has one. Default none. */
  readonly cacheMountFrom?: readonly MountSource[];
  /** Where cache mounts go when the build ends. Default none. */
  readonly cacheMountTo?: readonly MountTarget[];
  /** Results that are older are not taken, in milliseconds. Absent: none is too old. */
  readonly cacheTtlMs?: number;
  /** Other machines' results, asked in this order for what is not here. */
  readonly cacheFrom?: readonly CacheSource[];
  /** Where the results of this build go, also when it fails. */
  readonly cacheTo?: readonly CacheTarget[];
  /** Say of every executed step why it was not cached. Default false. */
  readonly explain?: boolean;
  /** Nothing is asked of any server: what is missing is an error. Default false. */
  readonly offline?: boolean;
  /** When base images are looked up in their registry. Default missing. */
  readonly pull: PullPolicy;
  /** Network of RUN where the Dockerfile says nothing. Default `default`, which is the host's. */
  readonly network: 'default' | 'host' | 'none' | 'private';
  /** `--add-host` as [name, ip]; `host-gateway` for the ip is this machine. */
  readonly extraHosts: readonly (readonly [string, string])[];
  /** What is asked for every RUN: `--shm-size`, `--cap-add`, `--memory` and the like. */
  readonly run?: StepSettings;
  /** Values of `--secret`, by id. */
  readonly secrets: ReadonlyMap<string, Buffer>;
  /** `--ssh`: an agent or keys, by id. */
  readonly ssh: ReadonlyMap<string, SshSource>;
  /** `--allow`: entitlements that Dockerfile instructions may use. */
  readonly allow: ReadonlySet<string>;
  /** `--allow device`, `--allow device=NAME`. Default: devices whose specification says that anybody may have them. */
  readonly allowDevices?: DeviceAllowance;
  /** `--device vendor.com/class=name`: devices that every RUN is given. */
  readonly cdiDevices?: readonly string[];
  /** Where devices are described. Default /etc/cdi, /var/run/cdi and /etc/buildkit/cdi. */
  readonly cdiSpecDirs?: readonly string[];
  /** SOURCE_DATE_EPOCH in seconds: created times become this, later file times in new layers too. */
  readonly sourceDateEpoch?: number;
}
