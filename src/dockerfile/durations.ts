// Go's notation for durations, as HEALTHCHECK has it: `1m30s`, `1.5h`, `500ms`.

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

const MAX = 9_223_372_036_854_775_807n;

/** Nanoseconds, undefined when the text is no duration or one beyond 292 years. */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)(.*)$/s.exec(text);
  const rest = match?.[2] ?? '';
  if (rest === '0') return 0;
  if (rest === '' || rest.length > 200) return undefined;
  const part = /(\d*)(?:\.(\d*))?([a-z\u00b5\u03bc]+)/y;
  let total = 0n;
  while (part.lastIndex < rest.length) {
    const [, whole, fraction = '', unit] = part.exec(rest) ?? [];
    const scale = UNITS[unit ?? ''];
    if (whole === undefined || scale === undefined || whole + fraction === '') return undefined;
    total += BigInt(whole === '' ? '0' : whole) * scale;
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length);
    if (total > MAX) return undefined;
  }
  return Number(match?.[1] === '-' ? -total : total);
}
