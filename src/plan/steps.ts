// The plan of a build: values only, printable and comparable. plan/graph.ts makes it, build/ carries it out.
import type { Diagnostic, SourceRange } from '../errors.ts';
import type { ContainerConfig, ImageConfig } from '../image/config.ts';
import type { Platform } from '../image/platform.ts';

/** An image that the plan needs: a FROM, a COPY --from or a mount. Equal `id`s are one request. */
export interface BaseRequest {
  /** `reference|platform`. */
  readonly id: string;
  /** As written after expansion: `busybox`, `oci-archive:x.tar`, or a named context's `docker-image://...`. */
  readonly reference: string;
  readonly platform: Platform;
  readonly range: SourceRange;
}

/** Where the file system of a stage begins, or where COPY and mounts read from. */
export type Origin =
  | { readonly kind: 'scratch' }
  /** An image; `base` is the id of a BaseRequest. */
  | { readonly kind: 'image'; readonly base: string }
  /** Another stage, by its index in the Dockerfile. */
  | { readonly kind: 'stage'; readonly stage: number }
  /** The build context, or a named one that is a directory, git or http context. */
  | { readonly kind: 'context'; readonly name?: string };

/** What all steps have. */
interface StepCommon {
  /** Unique in the plan and stable: `<stage index>.<ordinal in stage>`. */
  readonly id: string;
  readonly stage: number;
  readonly range: SourceRange;
  /** The instruction for people, expanded: `COPY package.json ./`. */
  readonly display: string;
  /** `created_by` of the history entry, as BuildKit writes it. */
  readonly createdBy: string;
  /** Config as it is after this step. */
  readonly config: ContainerConfig;
}

/** Changes the config only: ENV, LABEL, CMD, ENTRYPOINT, EXPOSE, USER, VOLUME, STOPSIGNAL, HEALTHCHECK, SHELL, ONBUILD, ARG, MAINTAINER. */
export interface SettingStep extends StepCommon {
  readonly kind: 'setting';
  readonly author?: string;
}

/** Makes sure that a directory exists. */
export interface WorkdirStep extends StepCommon {
  readonly kind: 'workdir';
  /** Absolute and clean. */
  readonly path: string;
  /** USER in force; '' is root. A created directory belongs to it. */
  readonly user: string;
}

export type MountSpec =
  | {
      readonly type: 'bind';
      readonly from: Origin;
      /** Path in `from`. */
      readonly source: string;
      /** Absolute. */
      readonly target: string;
      /** Writes are allowed, and thrown away. */
      readonly writable: boolean;
    }
  | {
      readonly type: 'cache';
      readonly id: string;
      readonly target: string;
      readonly sharing: 'shared' | 'private' | 'locked';
      readonly from: Origin;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly readonly: boolean;
    }
  | {
      readonly type: 'tmpfs';
      readonly target: string /** Bytes; absent: the kernel's default. */;
      readonly size?: number;
    }
  | {
      readonly type: 'secret';
      readonly id: string;
      /** Absent when only `env` was asked for. */
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'ssh';
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** A file that RUN sees below /dev/pipes: the body of a heredoc that starts with `#!`. */
export interface InlineFile {
  readonly name: string;
  readonly text: string;
}

/** A device by its name in the Container Device Interface, or by an alias that the user gives one. */
export interface DeviceRequest {
  readonly name: string;
  /** The build fails without it. */
  readonly required: boolean;
}

export interface RunStep extends StepCommon {
  readonly kind: 'run';
  /** The whole command with its shell, or the exec form. */
  readonly argv: readonly string[];
  /** A script to mount at /dev/pipes/<name>, mode 0755. */
  readonly script?: InlineFile;
  /** `NAME=value`: ENV and declared ARG values in effect (PATH included, HOME and HOSTNAME not). */
  readonly env: readonly string[];
  /** Proxy build args that were not declared with ARG: seen by the command, not part of key and history. */
  readonly hiddenEnv: readonly string[];
  readonly workdir: string;
  /** As USER wrote it; '' is root. */
  readonly user: string;
  readonly mounts: readonly MountSpec[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  /** `--device` of RUN. */
  readonly devices: readonly DeviceRequest[];
  /** From the build arg BUILDKIT_SANDBOX_HOSTNAME; absent: the sandbox's own. */
  readonly hostname?: string;
}

/** One source of COPY or ADD. */
export type CopyItem =
  | {
      readonly kind: 'path' /** As written, expanded; may hold wildcards. */;
      readonly path: string;
      readonly range: SourceRange;
    }
  /** A heredoc body; `text` is expanded. */
  | { readonly kind: 'inline'; readonly name: string; readonly text: string }
  | { readonly kind: 'url'; readonly url: string; readonly range: SourceRange }
  | { readonly kind: 'git'; readonly url: string; readonly range: SourceRange };

export interface CopyStep extends StepCommon {
  readonly kind: 'copy';
  readonly instruction: 'COPY' | 'ADD';
  readonly from: Origin;
  readonly items: readonly CopyItem[];
  /** Absolute; a trailing '/' as written (or implied by `.`) is kept, it means a directory. */
  readonly dest: string;
  /** `user[:group]` as written, expanded. */
  readonly chown?: string;
  /** Octal digits or symbolic, as written, expanded. */
  readonly chmod?: string;
  readonly link: boolean;
  readonly parents: boolean;
  readonly excludes: readonly string[];
  readonly checksum?: string;
  readonly keepGitDir: boolean;
  /** ADD only. auto: local archives are unpacked, remote ones not. COPY: never. */
  readonly unpack: 'auto' | 'always' | 'never';
}

export type Step = SettingStep | WorkdirStep | RunStep | CopyStep;

export interface PlannedStage {
  readonly index: number;
  readonly name?: string;
  /** For people: the name, or `stage-<index>`. */
  readonly label: string;
  readonly platform: Platform;
  readonly origin: Origin;
  readonly steps: readonly Step[];
  /** Config after the last step, history and diffIds still those of the base (build/assemble.ts completes them). */
  readonly config: ImageConfig;
  readonly range: SourceRange;
}

export interface Graph {
  /** Index of the stage that becomes the image. */
  readonly target: number;
  /** The stages in reach, every one after those it needs. */
  readonly stages: readonly PlannedStage[];
  readonly warnings: readonly Diagnostic[];
}

/** The stages that a stage reads from, without repetition. */
export function stagesNeededBy(stage: PlannedStage): number[] {
  const found = new Set<number>();
  const add = (origin: Origin) => origin.kind === 'stage' && found.add(origin.stage);
  add(stage.origin);
  for (const step of stage.steps) {
    if (step.kind === 'copy') add(step.from);
    if (step.kind === 'run')
      for (const m of step.mounts) if (m.type === 'bind' || m.type === 'cache') add(m.from);
  }
  return [...found];
}
