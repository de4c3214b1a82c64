// What it takes to run one process on a root file system. Rungs: oci-runtime.ts (runc, crun), namespaces.ts,
// chroot.ts, proot.ts. Which one works is found by really trying it (probe.ts).
import type { StepLimit } from './limits.ts';

/** A directory or file of the host made visible inside. Targets are absolute; the sandbox resolves them within the rootfs. */
export interface SandboxMount {
  readonly kind: 'bind' | 'tmpfs';
  /** Host path (bind). */
  readonly source?: string;
  readonly target: string;
  readonly readonly: boolean;
  /** tmpfs: bytes. */
  readonly size?: number;
  /** Whether `source` is a directory or a file (bind). */
  readonly isFile?: boolean;
}

export interface ResolverSettings {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface SandboxRequest {
  /** The mounted root file system, writable. */
  readonly rootfs: string;
  readonly argv: readonly string[];
  /** `NAME=value`, complete. */
  readonly env: readonly string[];
  /** Absolute path inside. */
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly hostname: string;
  /** private: one of its own that reaches the world through a helper program (private-network.ts). */
  readonly network: 'host' | 'none' | 'private';
  /** insecure: all capabilities, nothing masked; the caller has checked that the user allowed it. */
  readonly security: 'sandbox' | 'insecure';
  readonly mounts: readonly SandboxMount[];
  /** Extra lines for /etc/hosts: `[ip, name]`; `host-gateway` for the ip is this machine. */
  readonly extraHosts: readonly (readonly [string, string])[];
  /** Limits besides the default ones. */
  readonly limits?: readonly StepLimit[];
  /** Bytes of /dev/shm; default 64 MiB. */
  readonly shmSize?: number;
  /** What resolv.conf says instead of the machine's; an empty list leaves the machine's. */
  readonly dns?: ResolverSettings;
  readonly signal: AbortSignal;
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  /** A rung that cannot mount moves what is in the way aside, and back afterwards: told of each such path. */
  onMovedAndBack?(path: string): void;
}

export type SandboxResult =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'signalled'; readonly signal: string };

export interface Sandbox {
  readonly name: string;
  /** For `slipway info`: `runc 1.1.5`. */
  readonly description: string;
  /**
   * Runs the process to its end; nothing it started survives. /proc, /dev, /sys, /etc/resolv.conf and
   * /etc/hosts are there while it runs, and gone from the rootfs afterwards when they were not before. (/etc/hostname is
   * the image's own, as with BuildKit: a step may write it.)
   * A working directory that is missing is made, and stays.
   * @throws BuildError `run` when the command is not there or not executable (fact `errno`), or a mount does not fit the
   *   image; `hostile` for an image that tries to lead outside; `sandbox` when the machine refuses; `interrupted` on abort
   */
  run(request: SandboxRequest): Promise<SandboxResult>;
}
