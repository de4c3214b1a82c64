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

/** Three significant digits in decimal units: `4.27MB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${Number(value.toPrecision(3))}${units[unit]}`;
}
