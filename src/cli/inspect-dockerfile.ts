// A Dockerfile read, outlined and checked, nothing fetched and nothing built: for lint, --check and --call.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lintContext } from '../build/check.ts';
import { namedContextsOf } from '../build/named-contexts.ts';
import type { BuildRequest } from '../build/request.ts';
import type { IgnoreRules } from '../context/ignore.ts';
import { openContext } from '../context/open.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { formatFindings, type LintFormat } from '../dockerfile/lint/report.ts';
import { lintDockerfile } from '../dockerfile/lint/run.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError, type Diagnostic } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import { hostPlatform } from '../image/platform.ts';
import { refuseUnreadable } from '../plan/faults.ts';
import type { PlanOptions } from '../plan/options.ts';
import { makeOutline, type Outline } from '../plan/outline.ts';
import type { Session } from './session.ts';
import { version } from './version.ts';

/** A Dockerfile and what it is looked at with. */
export interface OpenedFile {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly ignore: IgnoreRules;
}

/** @throws BuildError when there is none */
export async function openDockerfile(request: BuildRequest, session: Session): Promise<OpenedFile> {
  const tmp = mkdtempSync(join(tmpdir(), 'slipway-'));
  try {
    await using context = await openContext(request.context, {
      cwd: request.cwd,
      ...(request.file === undefined ? {} : { file: request.file }),
      tmp,
      signal: session.signal,
      stdin: process.stdin,
    });
    const options: PlanOptions = {
      ...(request.target === undefined ? {} : { target: request.target }),
      buildArgs: request.buildArgs,
      platform: request.platform ?? hostPlatform(),
      buildPlatform: hostPlatform(),
      namedContexts: namedContextsOf(request),
    };
    return { dockerfile: parseDockerfile(context.dockerfile), options, ignore: context.ignore };
  } finally {
    rmSync(tmp, { recursive: true, force: true });
  }
}

/** @throws BuildError `dockerfile` when it cannot be read or planned */
export async function outlineDockerfile(request: BuildRequest, session: Session): Promise<Outline> {
  const { dockerfile, options } = await openDockerfile(request, session);
  return makeOutline(dockerfile, options);
}

/** @throws BuildError `dockerfile` when it cannot be read */
export async function readStages(request: BuildRequest, session: Session): Promise<Dockerfile> {
  const { dockerfile, options } = await openDockerfile(request, session);
  refuseUnreadable(dockerfile, options);
  return dockerfile;
}

/** What the images of a file say. */
export type LookUp = (outline: Outline) => Promise<ReadonlyMap<string, ImageConfig>>;

/**
 * Prints what the checks find: in all stages, or in those that a target needs. The status becomes 1 when there is
 * anything; what stops the file from being planned is part of JSON and SARIF.
 * @param lookUp absent: nothing is said about what images set
 * @throws BuildError `dockerfile` for text, after the findings
 */
export async function printChecks(
  format: LintFormat,
  request: BuildRequest,
  session: Session,
  lookUp?: LookUp,
): Promise<void> {
  const { findings, failure } = await check(await openDockerfile(request, session), session, lookUp);
  if (format === 'text' && failure) {
    if (findings.length > 0) session.out(formatFindings(format, findings));
    throw failure;
  }
  session.out(formatFindings(format, findings, failure ? failuresOf(failure) : [], version));
  if (findings.length > 0 || failure) session.status = 1;
}

async function check(
  { dockerfile, options, ignore }: OpenedFile,
  session: Session,
  lookUp: LookUp | undefined,
): Promise<{ readonly findings: readonly Diagnostic[]; readonly failure?: BuildError }> {
  let outline: Outline;
  try {
    outline = makeOutline(dockerfile, { ...options, keepUnused: options.target === undefined });
  } catch (failure) {
    if (!(failure instanceof BuildError) || failure.code !== 'dockerfile') throw failure;
    const isUnread = dockerfile.diagnostics.some(({ severity }) => severity === 'error');
    return {
      findings: isUnread ? [] : lintDockerfile(dockerfile, { buildArgs: options.buildArgs }),
      failure,
    };
  }
  const configs = lookUp === undefined ? new Map() : await lookUpOrWarn(outline, session, lookUp);
  const context = lintContext({ dockerfile, outline, ignore, configs });
  return { findings: lintDockerfile(dockerfile, context) };
}

/** A file can be checked without its images, less thoroughly. */
async function lookUpOrWarn(
  outline: Outline,
  session: Session,
  lookUp: LookUp,
): Promise<ReadonlyMap<string, ImageConfig>> {
  try {
    return await lookUp(outline);
  } catch (error) {
    if (!(error instanceof BuildError) || session.signal.aborted) throw error;
    session.err(`warning: what the images set is not checked: ${error.message}\n`);
    return new Map();
  }
}

function failuresOf({
  message,
  hint,
  range,
  diagnostics,
}: BuildError): Pick<Diagnostic, 'message' | 'hint' | 'range'>[] {
  const first = {
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(range === undefined ? {} : { range }),
  };
  return [first, ...diagnostics];
}
