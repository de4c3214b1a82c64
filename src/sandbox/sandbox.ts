// What it takes to run one process on a root file system. Rungs: oci-runtime.ts (runc, crun), namespaces.ts,
// chroot.ts, proot.ts. Which one works is found by really trying it (probe.ts).
import type { CapabilityChange } from './capabilities.ts';
import type { GivenDevices } from './cdi/edits.ts';
import type { StepDevice } from './devices.ts';
import type { StepLimit } from './limits.ts';
import type { StepResources } from './resources.ts';
import type { DockerProfile } from './seccomp/docker-profile.ts';

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
  /** The source is a device file (bind). */
  readonly isDevice?: boolean;
  /** In place of a source: a device file that has to be made (bind). */
  readonly newDevice?: NewDevice;
  /** Nothing in it can be executed (bind). Default false. */
  readonly noexec?: boolean;
}

/** A device file that need not be on this machine. */
export interface NewDevice {
  /** For messages. */
  readonly name: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface ResolverSettings {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

/** `--volume`: a directory or file of this machine that every step sees. */
export interface StepVolume {
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  /** overlay: what is written is thrown away. */
  readonly access: 'ro' | 'rw' | 'overlay';
  /** Everything in it is given to the user that the step runs as. */
  readonly chown: boolean;
}

/** What is asked for every step besides what the Dockerfile says. A rung keeps it or refuses it. */
export interface StepSettings {
  /** Limits besides the default ones. */
  readonly limits?: readonly StepLimit[];
  /** Bytes of /dev/shm; default 64 MiB. */
  readonly shmSize?: number;
  /** What resolv.conf says instead of the machine's; an empty list leaves the machine's. */
  readonly dns?: ResolverSettings;
  readonly capabilities?: CapabilityChange;
  /** The filter of system calls; default Docker's, in the rungs that have one. A step that is insecure has none. */
  readonly seccomp?: 'unconfined' | DockerProfile;
  /** No program may give more rights than its caller has (setuid bits, file capabilities). Default false. */
  readonly noNewPrivileges?: boolean;
  readonly resources?: StepResources;
  readonly devices?: readonly StepDevice[];
  /** Devices by name, of a single step. Their variables and groups the caller puts among the others. */
  readonly cdi?: GivenDevices;
  /** The caller mounts them; here they can only be refused. */
  readonly volumes?: readonly StepVolume[];
}

export interface SandboxRequest extends StepSettings {
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
  /** Files and directories with secrets, which a rung that outlives slipway removes should slipway be killed. */
  readonly volatile?: readonly string[];
  /** Extra lines for /etc/hosts: `[ip, name]`; `host-gateway` for the ip is this machine. */
  readonly extraHosts: readonly (readonly [string, string])[];
  readonly signal: AbortSignal;
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void;
  /** A rung that cannot mount moves what is in the way aside, and back afterwards: told of each such path. */
  onMovedAndBack?(path: string): void;
}

export type SandboxResult = (
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'signalled'; readonly signal: string }
) & {
  /** Something in the step was killed because the memory that it may use was not enough. */
  readonly ranOutOfMemory?: boolean;
};

export interface Sandbox {
  readonly name: string;
  /** For `slipway info`: `runc 1.1.5`. */
  readonly description: string;
  /** Directories that may be written are moved into their place: nobody else can have one meanwhile. Default false. */
  readonly movesSources?: boolean;
  /**
   * Finds out whether steps can be given what is asked for, by trying where that is the only way to know.
   * @throws BuildError `sandbox` naming the flag, the rung and the reason; `usage` for a device that is not there
   */
  check(settings: StepSettings): void;
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
