// Which capabilities a step gets: Docker's default ones or all, changed by --cap-add and --cap-drop.
import { readOr } from '../host/probe.ts';
import { type Capability, capabilityNames, defaultCapabilities } from './defaults.ts';

/** With these, what is root without namespaces could leave its root, make any device, or mount things on the machine. */
export const withheldWithoutNamespaces = ['SYS_CHROOT', 'MKNOD', 'SYS_ADMIN'] as const;

/** Number of the last capability that the kernel knows. */
export function lastCapability(): number {
  return Number(readOr('/proc/sys/kernel/cap_last_cap', String(capabilityNames.length - 1)));
}

/** `ALL` stands for every capability: to be added, of those that slipway has itself. */
export type CapabilityWord = Capability | 'ALL';

/** What --cap-add and --cap-drop say. No name is in both. */
export interface CapabilityChange {
  readonly add: readonly CapabilityWord[];
  readonly drop: readonly CapabilityWord[];
}

/** What of a request decides. */
export interface CapabilityRequest {
  readonly security: 'sandbox' | 'insecure';
  readonly capabilities?: CapabilityChange;
}

/**
 * The capabilities that a step gets, of those that slipway has itself.
 * @param available capabilities of this process as bits
 */
export function grantedCapabilities(request: CapabilityRequest, available: bigint): readonly Capability[] {
  const { add = [], drop = [] } = request.capabilities ?? {};
  const usual = request.security === 'insecure' ? capabilityNames : defaultCapabilities;
  return capabilityNames.filter(name => {
    if (!has(available, name) || drop.includes(name)) return false;
    if (add.includes(name) || add.includes('ALL')) return true;
    return !drop.includes('ALL') && usual.includes(name);
  });
}

/** Whether a set of bits holds a capability. */
export function has(bits: bigint, name: Capability): boolean {
  return ((bits >> BigInt(capabilityNames.indexOf(name))) & 1n) === 1n;
}

/** Capabilities as bits. */
export function capabilityBits(names: readonly Capability[]): bigint {
  return names.reduce((bits, name) => bits | (1n << BigInt(capabilityNames.indexOf(name))), 0n);
}
