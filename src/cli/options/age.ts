// Ages and amounts as people write them in flags.
import { parseDuration } from '../../dockerfile/durations.ts';
import { BuildError, printable } from '../../errors.ts';

/** Go's durations and whole days: `24h`, `90m`, `7d`. @returns milliseconds @throws BuildError `usage` */
export function parseAge(text: string, flag: string): number {
  const days = /^(\d{1,5})d$/.exec(text)?.[1];
  if (days !== undefined) return Number(days) * 86_400_000;
  const ns = parseDuration(text);
  if (ns === undefined || ns < 0) {
    throw new BuildError('usage', `${flag} ${printable(text)} is not a duration`, {
      hint: 'write 24h, 90m or 7d',
    });
  }
  return ns / 1_000_000;
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 1024,
  mi: 1024 ** 2,
  gi: 1024 ** 3,
  ti: 1024 ** 4,
};

/** `10GB`, `512MiB`, `1.5g`, plain bytes. @returns bytes @throws BuildError `usage` */
export function parseBytes(text: string, flag: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?$/i.exec(text) ?? [];
  const scale = units[unit.toLowerCase()];
  if (number === '' || scale === undefined) {
    throw new BuildError('usage', `${flag} ${printable(text)} is not an amount of storage`, {
      hint: 'write 10GB or 512MiB',
    });
  }
  return Math.floor(Number(number) * scale);
}
