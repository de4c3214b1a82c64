// A Dockerfile read, outlined and checked, nothing fetched and nothing built: for lint, --check and --call.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { refuseErrors } from '../build/build.ts';
import { lintContext } from '../build/check.ts';
import { namedContextsOf } from '../build/named-contexts.ts';
import type { BuildRequest } from '../build/request.ts';
import { openContext } from '../context/open.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { lintDockerfile } from '../dockerfile/lint/run.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import type { Diagnostic } from '../errors.ts';
import { hostPlatform } from '../image/platform.ts';
import { makeOutline, type Outline } from '../plan/outline.ts';
import type { Session } from './session.ts';

export interface Inspected {
  readonly dockerfile: Dockerfile;
  readonly outline: Outline;
  readonly findings: readonly Diagnostic[];
}

/** @throws BuildError `dockerfile` when it cannot be read at all */
export async function inspectDockerfile(request: BuildRequest, session: Session): Promise<Inspected> {
  const tmp = mkdtempSync(join(tmpdir(), 'slipway-'));
  try {
    await using context = await openContext(request.context, {
      cwd: request.cwd,
      ...(request.file === undefined ? {} : { file: request.file }),
      tmp,
      signal: session.signal,
      stdin: process.stdin,
    });
    const dockerfile = parseDockerfile(context.dockerfile);
    refuseErrors(dockerfile.diagnostics);
    const outline = makeOutline(dockerfile, {
      ...(request.target === undefined ? {} : { target: request.target }),
      buildArgs: request.buildArgs,
      platform: request.platform ?? hostPlatform(),
      buildPlatform: hostPlatform(),
      namedContexts: namedContextsOf(request),
    });
    const findings = lintDockerfile(
      dockerfile,
      lintContext({ dockerfile, outline, ignore: context.ignore, configs: new Map() }),
    );
    return { dockerfile, outline, findings };
  } finally {
    rmSync(tmp, { recursive: true, force: true });
  }
}
