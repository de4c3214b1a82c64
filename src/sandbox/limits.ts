// Limits of a step's resources (getrlimit(2)), by the names that ulimit and Docker use.

/** Numbers as in asm-generic/resource.h, the same on x64 and arm64. */
const numbers = {
  core: 4,
  cpu: 0,
  data: 2,
  fsize: 1,
  locks: 10,
  memlock: 8,
  nice: 13,
  nofile: 7,
  nproc: 6,
  rss: 5,
  rtprio: 14,
  rttime: 15,
  stack: 3,
} as const;

export type LimitName = keyof typeof numbers;

export const limitNames = Object.keys(numbers) as readonly LimitName[];

/** A limit of a step; undefined is unlimited. */
export interface StepLimit {
  readonly name: LimitName;
  readonly soft: number | undefined;
  readonly hard: number | undefined;
}

const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/** The limits of a step: those asked for, and the number of open files where it was not. */
export function stepLimits(
  request: { readonly limits?: readonly StepLimit[] },
  openFiles: number,
): readonly StepLimit[] {
  const asked = request.limits ?? [];
  if (asked.some(each => each.name === 'nofile')) return asked;
  return [{ name: 'nofile', soft: openFiles, hard: openFiles }, ...asked];
}

/** The number of a limit, and `struct rlimit64`, for prlimit(2). */
export function limitArguments({ name, soft, hard }: StepLimit): readonly [number, Buffer] {
  const word = (value: number | undefined) => (value === undefined ? UNLIMITED : BigInt(value));
  return [numbers[name], Buffer.from(new BigUint64Array([word(soft), word(hard)]).buffer)];
}

/** What /proc/PID/limits calls it. */
export function limitTitle(name: LimitName): string {
  return titles[name];
}

const titles: Readonly<Record<LimitName, string>> = {
  core: 'core file size',
  cpu: 'cpu time',
  data: 'data size',
  fsize: 'file size',
  locks: 'file locks',
  memlock: 'locked memory',
  nice: 'nice priority',
  nofile: 'open files',
  nproc: 'processes',
  rss: 'resident set',
  rtprio: 'realtime priority',
  rttime: 'realtime timeout',
  stack: 'stack size',
};

/** As a runtime configuration has it, but for what is unlimited: see {@link withUnlimited}. */
export function runtimeLimit({ name, soft, hard }: StepLimit): object {
  const value = (limit: number | undefined) => (limit === undefined ? -1 : limit);
  return { type: `RLIMIT_${name.toUpperCase()}`, soft: value(soft), hard: value(hard) };
}

/**
 * Runtimes read a limit as 64 bits without a sign, and no number of JavaScript is that large. Inside a JSON string the
 * quotes would be escaped, so only limits are found.
 */
export function withUnlimited(json: string): string {
  return json.replace(/"(soft|hard)":-1(?=[,}])/g, `"$1":${UNLIMITED}`);
}
