// What the flags of a build ask of a rung, checked before anything is executed: it is kept or refused, with the flag, the
// rung and the reason.
import { release } from 'node:os';
import { canGiveOwners } from '../host/ids.ts';
import { effectiveCapabilities } from '../host/probe.ts';
import { temporaryName } from '../host/temp.ts';
import { grantedCapabilities, has } from './capabilities.ts';
import { cgroupName, sweepCgroups } from './cgroups.ts';
import { findDevices } from './devices.ts';
import { checkGiven, tryToMake } from './given.ts';
import { limitThatMayNotBeRaised } from './machine.ts';
import { cannotKeep, type Rung, refuseIf } from './rung.ts';
import type { SandboxRequest, StepSettings } from './sandbox.ts';
import { defaultProfile, type SeccompProfile } from './seccomp/profile.ts';
import { makeStepCgroup, type StepCgroup } from './step-cgroup.ts';

/**
 * Before a build: also tries what can only be tried.
 * @throws BuildError `sandbox`; `usage` for a device that is not there
 */
export function checkSettings(settings: StepSettings, rung: Rung): void {
  refuseSettings(settings, rung);
  tryToMake(settings, rung);
  openStepCgroup(settings, rung)?.remove();
}

/** Before a step. @throws BuildError as {@link checkSettings} */
export function refuseSettings(settings: StepSettings, rung: Rung): void {
  const { cannot } = rung;
  const { shmSize, capabilities, seccomp, volumes = [] } = settings;
  if (shmSize !== undefined) refuseIf(cannot.shmSize, '--shm-size', rung);
  const change = [...(capabilities?.add ?? []), ...(capabilities?.drop ?? [])];
  if (change.length > 0) {
    const flag = (capabilities?.add.length ?? 0) > 0 ? '--cap-add' : '--cap-drop';
    refuseIf(cannot.capabilities, `${flag} ${change[0]}`, rung);
    checkAdded(settings, rung);
  }
  if (typeof seccomp === 'object') refuseIf(cannot.seccompProfile, '--security-opt seccomp=FILE', rung);
  checkLimits(settings, rung);
  checkDevices(settings, rung);
  checkGiven(settings, rung);
  if (volumes.some(({ access }) => access === 'rw')) refuseIf(cannot.writableVolumes, '--volume', rung);
  if (volumes.some(({ chown }) => chown) && !canGiveOwners()) {
    throw cannotKeep('--volume with U', rung.name, 'slipway cannot give files to others');
  }
}

/** The cgroup of a step; undefined when nothing was asked for that needs one. @throws BuildError `sandbox` */
export function openStepCgroup({ resources }: StepSettings, rung: Rung): StepCgroup | undefined {
  if (resources === undefined || Object.keys(resources).length === 0) return undefined;
  sweepCgroups();
  return makeStepCgroup(resources, cgroupName(temporaryName()), rung);
}

function checkAdded({ capabilities }: StepSettings, { name: rung, withheld }: Rung): void {
  const available = effectiveCapabilities();
  for (const name of capabilities?.add ?? []) {
    if (name === 'ALL') continue;
    const flag = `--cap-add ${name}`;
    if (withheld?.names.includes(name)) throw cannotKeep(flag, rung, withheld.why);
    if (!has(available, name)) throw cannotKeep(flag, rung, 'slipway does not have it itself');
  }
}

/** A default may be lowered to what this machine allows; what was asked for may not. */
function checkLimits({ limits = [] }: StepSettings, { name: rung }: Rung): void {
  const refused = limitThatMayNotBeRaised(limits);
  if (refused === undefined) return;
  const { limit, most } = refused;
  const wanted = `${limit.name}=${limit.soft ?? -1}:${limit.hard ?? -1}`;
  throw cannotKeep(
    `--ulimit ${wanted}`,
    rung,
    `slipway itself may have ${most} at most, without CAP_SYS_RESOURCE`,
  );
}

function checkDevices({ devices }: StepSettings, rung: Rung): void {
  for (const { source, access } of findDevices(devices)) {
    const flag = `--device ${source}`;
    refuseIf(rung.cannot.devices, flag, rung);
    if (!access.includes('r') || !access.includes('w')) {
      refuseIf(rung.cannot.deviceAccess, `${flag} with access ${access}`, rung);
    }
  }
}

/** The filter that a step gets, in the rungs that have one by default. */
export function seccompFor(request: SandboxRequest): SeccompProfile | undefined {
  if (request.security === 'insecure' || request.seccomp === 'unconfined') return undefined;
  const capabilities = grantedCapabilities(request, effectiveCapabilities());
  if (request.seccomp === undefined) return defaultProfile(process.arch, capabilities);
  return request.seccomp.apply({ arch: process.arch, capabilities, kernel: release() });
}
