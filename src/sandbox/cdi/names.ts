// Names of devices as the Container Device Interface has them: vendor.com/class=name. Pure, and small: flags need it.

/** A name that was asked for. */
export interface DeviceName {
  /** `vendor.com/class` */
  readonly kind: string;
  /** '': the first of the kind; `*`: all of them; else a device, or a class that devices say they are of. */
  readonly name: string;
}

/** Where specifications are, as for BuildKit. What a later directory says of a device counts. */
export const defaultSpecDirs: readonly string[] = ['/etc/cdi', '/var/run/cdi', '/etc/buildkit/cdi'];

const kindWord = /^[A-Za-z](?:[\w.-]*[A-Za-z0-9])?$/;
const nameWord = /^[A-Za-z0-9](?:[\w.:-]*[A-Za-z0-9])?$/;

/** @returns undefined for what is no such name */
export function parseDeviceName(text: string): DeviceName | undefined {
  const equals = text.indexOf('=');
  const kind = equals < 0 ? text : text.slice(0, equals);
  const name = equals < 0 ? '' : text.slice(equals + 1);
  const isName = name === '' || name === '*' || isDeviceWord(name);
  return isKind(kind) && isName ? { kind, name } : undefined;
}

/** `vendor.com/class` */
export function isKind(text: string): boolean {
  const [vendor = '', word = '', ...more] = text.split('/');
  return more.length === 0 && kindWord.test(vendor) && kindWord.test(word);
}

/** What may stand behind `=`. */
export function isDeviceWord(text: string): boolean {
  return nameWord.test(text);
}
