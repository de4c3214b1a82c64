// The formats of Go's fmt package that BuildKit writes history entries with: https://pkg.go.dev/strconv#Quote

const shortEscapes: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
};

/** What Go prints as it is: letters, marks, numbers, punctuation, symbols and the plain space. */
const printableChar = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

/** `%q` of a string. */
export function quote(text: string): string {
  let result = '';
  for (const char of text) result += escapeChar(char, '"');
  return `"${result}"`;
}

/** `%q` of a list of strings: `["a" "b"]`. */
export function quoteList(list: readonly string[]): string {
  return `[${list.map(quote).join(' ')}]`;
}

/** `%q` of an integer, which is taken as a code point: `'\x03'`. */
export function quoteRune(code: number): string {
  const valid = code >= 0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
  return `'${escapeChar(valid ? String.fromCodePoint(code) : '\ufffd', "'")}'`;
}

function escapeChar(char: string, delimiter: string): string {
  if (char === delimiter) return `\\${char}`;
  const short = shortEscapes[char];
  if (short !== undefined) return short;
  if (printableChar.test(char)) return char;
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** time.Duration's text: 90000000000 is `1m30s`, 1500000000 is `1.5s`, 0 is `0s`. */
export function formatDuration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  const sign = nanoseconds < 0 ? '-' : '';
  const value = BigInt(Math.abs(Math.trunc(nanoseconds)));
  const second = 1_000_000_000n;
  if (value < second) {
    if (value < 1_000n) return `${sign}${value}ns`;
    if (value < 1_000_000n) return `${sign}${fraction(value, 1_000n)}µs`;
    return `${sign}${fraction(value, 1_000_000n)}ms`;
  }
  const minutes = value / (60n * second);
  const seconds = `${fraction(value % (60n * second), second)}s`;
  if (minutes === 0n) return sign + seconds;
  const hours = minutes / 60n;
  return `${sign}${hours > 0n ? `${hours}h` : ''}${minutes % 60n}m${seconds}`;
}

/** `value / unit` in decimal without trailing zeros. */
function fraction(value: bigint, unit: bigint): string {
  const digits = String(value % unit).padStart(String(unit).length - 1, '0');
  const decimals = digits.replace(/0+$/, '');
  return decimals === '' ? String(value / unit) : `${value / unit}.${decimals}`;
}
