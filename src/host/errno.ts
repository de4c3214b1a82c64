// Names of errno values as node's system errors have them.
import { constants as os } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** Positive errno values by name. */
export const constants = os.errno;

export function getSystemErrorName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `E${errno}`;
}

export function getSystemErrorMessage(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[1] ?? 'unknown error';
}
