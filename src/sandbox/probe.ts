// Which sandbox works on this machine: each rung, strongest first, really runs a program once. The answer is remembered
// until the machine starts anew, another user asks, or the program behind it changes.
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { BuildError, messageOf } from '../errors.ts';
import { bootId, findProgram } from '../host/probe.ts';
import { askProgram } from '../host/process.ts';
import { chrootSandbox } from './chroot.ts';
import { namespaceSandbox } from './namespaces.ts';
import { ociSandbox } from './oci-runtime.ts';
import { prootSandbox } from './proot.ts';
import type { Sandbox } from './sandbox.ts';
import { howToEnable, machineSettings } from './settings.ts';
import { tryOut } from './trial.ts';

/** auto: the strongest rung that works. A name asks for that rung and no other. */
export type Isolation = 'auto' | 'oci' | 'namespace' | 'chroot' | 'proot';

export interface ChooseOptions {
  /** Default auto. */
  readonly isolation?: Isolation;
  /** A file that remembers the answer; its directory exists. Default: nothing is remembered. */
  readonly memory?: string;
  /** Where programs are looked for. Default: PATH of this process. */
  readonly path?: string;
  /** Default: never aborted. */
  readonly signal?: AbortSignal;
}

/** What came of trying a rung. */
export interface RungReport {
  /** Value of --isolation. */
  readonly rung: Exclude<Isolation, 'auto'>;
  /** `runc 1.1.5` */
  readonly description: string;
  readonly works: boolean;
  /** Why it does not work, one sentence. */
  readonly reason?: string;
}

/** A way to run steps that may or may not work here. */
interface Candidate {
  readonly rung: RungReport['rung'];
  readonly label: string;
  /** What the remembered answer depends on. */
  readonly identity: string;
  /** It is not worth a line when the candidate before it works. */
  readonly onlyAfterFailure?: boolean;
  /** @throws BuildError `sandbox` with the reason when it cannot work */
  make(): Promise<Sandbox>;
}

/**
 * The strongest sandbox that works, or the one asked for.
 * @throws BuildError `sandbox` when none works, with the reason for each; `unsupported` for a rung that does not exist
 */
export async function chooseSandbox(options: ChooseOptions = {}): Promise<Sandbox> {
  const isolation = options.isolation ?? 'auto';
  const candidates = listCandidates(options.path).filter(
    each => isolation === 'auto' || each.rung === isolation,
  );
  if (candidates.length === 0) {
    throw new BuildError('unsupported', `--isolation=${isolation} is not available in this version`);
  }
  const remembered = candidates.find(each => isRemembered(options.memory, isolation, each.identity));
  if (remembered !== undefined) return remembered.make();
  const reasons: string[] = [];
  for (const candidate of candidates) {
    const tried = await tryCandidate(candidate, options.signal);
    if (tried.sandbox !== undefined) {
      remember(options.memory, isolation, candidate.identity);
      return tried.sandbox;
    }
    reasons.push(`${candidate.label}: ${tried.reason}`);
  }
  throw new BuildError('sandbox', `nothing on this machine can run a command${asked(isolation)}`, {
    hint: 'change one of the settings above, or build as another user; slipway info shows what works',
    output: [...reasons, ...howToEnable(machineSettings(options.path ?? process.env.PATH))],
  });
}

function asked(isolation: Isolation): string {
  return isolation === 'auto' ? '' : ` with --isolation=${isolation}`;
}

/** All rungs with what came of trying them now, strongest first. */
export async function describeMachine(
  options: Pick<ChooseOptions, 'path' | 'signal'> = {},
): Promise<readonly RungReport[]> {
  const reports: RungReport[] = [];
  for (const candidate of listCandidates(options.path)) {
    if (candidate.onlyAfterFailure === true && reports.at(-1)?.works === true) continue;
    const { sandbox, reason } = await tryCandidate(candidate, options.signal);
    const description = sandbox?.description ?? candidate.label;
    const why = reason === undefined ? {} : { reason };
    reports.push({ rung: candidate.rung, description, works: sandbox !== undefined, ...why });
  }
  return reports;
}

async function tryCandidate(
  candidate: Candidate,
  signal: AbortSignal | undefined,
): Promise<{ readonly sandbox?: Sandbox; readonly reason?: string }> {
  try {
    const sandbox = await candidate.make();
    await tryOut(sandbox, signal ?? new AbortController().signal);
    return { sandbox };
  } catch (error) {
    if (error instanceof BuildError && error.code === 'interrupted') throw error;
    return { reason: messageOf(error) };
  }
}

function listCandidates(path = process.env.PATH): readonly Candidate[] {
  return [
    ociCandidate('runc', path),
    ociCandidate('crun', path),
    namespaceCandidate(),
    chrootCandidate(),
    ...prootCandidates(path),
  ];
}

function ociCandidate(name: 'runc' | 'crun', path: string | undefined): Candidate {
  const program = findProgram(name, path);
  return {
    rung: 'oci',
    label: name,
    identity: program === undefined ? '' : `${name} ${stamp(program)}`,
    async make() {
      if (program === undefined) throw new BuildError('sandbox', `${name} is not installed`);
      return ociSandbox({ program, name, ...(await askAbout(program)) });
    },
  };
}

function namespaceCandidate(): Candidate {
  const identity = 'namespace';
  return { rung: 'namespace', label: 'built-in namespaces', identity, make: async () => namespaceSandbox() };
}

function chrootCandidate(): Candidate {
  return {
    rung: 'chroot',
    label: 'chroot (no security boundary)',
    identity: 'chroot',
    async make() {
      if (process.geteuid?.() !== 0) throw new BuildError('sandbox', 'it needs root');
      return chrootSandbox();
    },
  };
}

/** With the second, proot watches every system call of a step. What it does to watch fewer fails on newer kernels. */
function prootCandidates(path: string | undefined): readonly Candidate[] {
  const program = findProgram('proot', path);
  const candidate = (identity: string, watchesAll: boolean): Candidate => ({
    rung: 'proot',
    label: `proot${watchesAll ? ' without acceleration' : ''} (no security boundary)`,
    identity: program === undefined ? '' : `${identity} ${stamp(program)}`,
    ...(watchesAll ? { onlyAfterFailure: true } : {}),
    async make() {
      if (program === undefined) throw new BuildError('sandbox', 'proot is not installed');
      const answer = (await askProgram([program, '--version'])).stdout.toString('latin1');
      const version = /\bv?(\d+\.\d[\w.]*)/.exec(answer)?.[1] ?? 'of unknown version';
      return prootSandbox({ program, version, watchesAll });
    },
  });
  const usual = candidate('proot', false);
  return program === undefined ? [usual] : [usual, candidate('proot, unaccelerated', true)];
}

/** runc: a line `libseccomp: 2.5.4`; crun: the word `+SECCOMP`. */
async function askAbout(program: string): Promise<{ readonly version: string; readonly seccomp: boolean }> {
  const answer = (await askProgram([program, '--version'])).stdout.toString('latin1');
  const version = /version (\S+)/.exec(answer)?.[1] ?? 'of unknown version';
  return { version, seccomp: /libseccomp:|\+SECCOMP/.test(answer) };
}

/** Changes when the program is replaced. */
function stamp(program: string): string {
  const stat = statSync(program);
  return `${program} ${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}

interface Memory {
  readonly boot: string;
  readonly uid: number;
  /** Identity of the candidate by isolation. */
  readonly chosen: Readonly<Record<string, string>>;
}

function recall(file: string): Memory {
  const fresh = { boot: bootId(), uid: process.getuid?.() ?? 0, chosen: {} };
  try {
    const memory = JSON.parse(readFileSync(file, 'utf8')) as Memory;
    const same = memory.boot === fresh.boot && memory.uid === fresh.uid && fresh.boot !== '';
    return same && typeof memory.chosen === 'object' ? memory : fresh;
  } catch {
    return fresh; // missing or damaged: then it is found out again
  }
}

function isRemembered(file: string | undefined, isolation: Isolation, identity: string): boolean {
  if (file === undefined || identity === '') return false;
  return recall(file).chosen[isolation] === identity;
}

function remember(file: string | undefined, isolation: Isolation, identity: string): void {
  if (file === undefined || identity === '') return;
  const memory = recall(file);
  const temporary = `${file}.${process.pid}`;
  const text = JSON.stringify({ ...memory, chosen: { ...memory.chosen, [isolation]: identity } });
  writeFileSync(temporary, text, { mode: 0o600 });
  renameSync(temporary, file);
}
