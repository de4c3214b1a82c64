// What a rung says of itself, and how it refuses.
import { BuildError } from '../errors.ts';
import type { Capability } from './defaults.ts';

/** What a rung cannot do, each with the reason. */
export interface Rung {
  readonly name: 'oci' | 'namespace' | 'chroot' | 'proot';
  readonly cannot: {
    readonly shmSize?: string;
    /** --cap-add, --cap-drop */
    readonly capabilities?: string;
    /** A filter of one's own. */
    readonly seccompProfile?: string;
    /** A device that may be read only or written only. */
    readonly deviceAccess?: string;
    readonly devices?: string;
    /** Device files with numbers, mode and owner of their own; where they may be made at all. */
    readonly newDevices?: string;
    /** Volumes that can be written. */
    readonly writableVolumes?: string;
    /** Mounts that nothing can be executed from. */
    readonly noexec?: string;
    /** Sockets and the like at a second place. */
    readonly sockets?: string;
    /** Groups besides those of the user. */
    readonly groups?: string;
    /** Programs that a runtime starts on this machine. */
    readonly hooks?: string;
  };
  /** Its runtime takes one path of a cgroup for all hierarchies of version 1. Default false. */
  readonly cgroupsFromTop?: boolean;
  /** Capabilities that no step gets here, and why. */
  readonly withheld?: { readonly names: readonly Capability[]; readonly why: string };
}

export function refuseIf(reason: string | undefined, what: string, rung: Rung): void {
  if (reason !== undefined) throw cannotKeep(what, rung.name, reason);
}

export function cannotKeep(what: string, rung: string, reason: string): BuildError {
  return refusal(`${what} cannot be kept with --isolation=${rung}: ${reason}`);
}

/** @param part of the device that is in the way */
export function cannotGive(device: string, part: string, rung: string, reason: string): BuildError {
  return refusal(
    `the device ${device} cannot be given with --isolation=${rung}: it has ${part}, and ${reason}`,
  );
}

function refusal(message: string): BuildError {
  return new BuildError('sandbox', message, {
    hint: 'slipway info shows which other sandboxes work here; --isolation chooses one',
  });
}
