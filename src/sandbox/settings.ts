// Which setting of the machine would let which rung work: for the error when none does.
import { inUserNamespace } from '../host/ids.ts';
import { findProgram, readOr } from '../host/probe.ts';

export interface MachineSettings {
  readonly isRoot: boolean;
  /** An ordinary user that has become root of a user namespace. */
  readonly isRootless: boolean;
  /** A number file of the kernel by its name below /proc/sys; undefined when there is none. */
  sysctl(name: string): string | undefined;
  hasProgram(name: string): boolean;
}

/** What this machine says. @param path where programs are looked for */
export function machineSettings(path: string | undefined): MachineSettings {
  return {
    isRoot: process.geteuid?.() === 0 && !inUserNamespace(),
    isRootless: process.geteuid?.() === 0 && inUserNamespace(),
    sysctl: name => readOr(`/proc/sys/${name}`, '').trim() || undefined,
    hasProgram: name => findProgram(name, path) !== undefined,
  };
}

/** One line for each thing that would help, best first. */
export function howToEnable(settings: MachineSettings): readonly string[] {
  if (settings.isRootless) return ['for oci: run as root'];
  return settings.isRoot ? forRoot() : forOrdinaryUser(settings);
}

function forRoot(): readonly string[] {
  return [
    'for oci and namespace: CAP_SYS_ADMIN (in a container: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined)',
    'for chroot: CAP_SYS_CHROOT, CAP_SETUID, CAP_SETGID and CAP_CHOWN',
  ];
}

function forOrdinaryUser({ sysctl, hasProgram }: MachineSettings): readonly string[] {
  const switches = [
    ...(sysctl('user/max_user_namespaces') === '0' ? ['sysctl user.max_user_namespaces=15000'] : []),
    ...(sysctl('kernel/unprivileged_userns_clone') === '0'
      ? ['sysctl kernel.unprivileged_userns_clone=1']
      : []),
    ...(sysctl('kernel/apparmor_restrict_unprivileged_userns') === '1'
      ? ['sysctl kernel.apparmor_restrict_unprivileged_userns=0']
      : []),
  ];
  const why =
    switches.length > 0
      ? `as root: ${switches.join('; ')}`
      : 'a seccomp filter or security module refuses user namespaces (in a container: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)';
  return [
    `for namespace: ${why}`,
    ...(hasProgram('proot') ? [] : ['for proot: install proot (apt-get install proot)']),
  ];
}
