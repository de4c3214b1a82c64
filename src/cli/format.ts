// Ages and sizes in docker's words.

/** `5 minutes ago`, as docker's CREATED column. */
export function ago(created: string, nowMs: number): string {
  const seconds = Math.floor((nowMs - Date.parse(created)) / 1000);
  if (!Number.isFinite(seconds)) return 'N/A';
  return `${duration(seconds)} ago`;
}

/** go-units' HumanDuration. */
export function duration(seconds: number): string {
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  const exactHours = Math.floor(seconds / 3600);
  if (exactHours < 24 * 7 * 2) return `${Math.floor(exactHours / 24)} days`;
  if (exactHours < 24 * 30 * 2) return `${Math.floor(exactHours / 24 / 7)} weeks`;
  if (exactHours < 24 * 365 * 2) return `${Math.floor(exactHours / 24 / 30)} months`;
  return `${Math.floor(exactHours / 24 / 365)} years`;
}

/** In decimal units: `4.27MB`. @param digits significant ones */
export function formatSize(bytes: number, digits = 3): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(digits))}${units[unit]}`;
}

/** As Go prints a time: `2026-01-31 12:00:00 +0000 UTC`, in the local zone. */
export function goTime(created: string): string {
  const date = new Date(created);
  if (Number.isNaN(date.getTime())) return 'N/A';
  const minutes = -date.getTimezoneOffset();
  const two = (n: number) => String(n).padStart(2, '0');
  const offset = `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}${two(Math.abs(minutes) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time} ${offset} ${zoneName(date, offset)}`;
}

let zones: Intl.DateTimeFormat | undefined;

function zoneName(date: Date, offset: string): string {
  zones ??= new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' });
  const parts = zones.formatToParts(date);
  const name = parts.find(part => part.type === 'timeZoneName')?.value ?? offset;
  return /^GMT[+-]/.test(name) ? offset.replace(/00$/, '') : name;
}

/** RFC 3339 in the local zone, without fractions: `2026-01-31T12:00:00Z`. */
export function localRfc3339(created: string): string {
  const date = new Date(created);
  if (Number.isNaN(date.getTime())) return 'N/A';
  const minutes = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, 19);
  if (minutes === 0) return `${local}Z`;
  const two = (n: number) => String(n).padStart(2, '0');
  const away = Math.abs(minutes);
  return `${local}${minutes < 0 ? '-' : '+'}${two(Math.floor(away / 60))}:${two(away % 60)}`;
}
