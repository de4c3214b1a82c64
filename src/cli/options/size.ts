// Sizes in flags: bytes, or with a unit.
import { BuildError, printable } from '../../errors.ts';

const units = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 } as const;

/** `64m`, `1g`, `4096`. @throws BuildError `usage` */
export function parseSize(text: string, flag: string): number {
  const [, digits, unit = ''] = /^(\d{1,12})([bkmg]?)b?$/i.exec(text) ?? [];
  const bytes = Number(digits) * units[unit.toLowerCase() as keyof typeof units];
  if (digits !== undefined && bytes > 0) return bytes;
  throw new BuildError('usage', `${flag} ${printable(text)} is not a size`, { hint: 'write 64m or 1g' });
}
