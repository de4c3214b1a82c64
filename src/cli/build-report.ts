// What slipway build says and writes when it is done: the image id, --iidfile, --metadata-file.
import { writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { BuildResult } from '../build/build.ts';
import type { Delivery } from '../build/deliver.ts';
import type { BuildRequest } from '../build/request.ts';
import { BuildError } from '../errors.ts';
import type { Digest } from '../image/digest.ts';
import type { BuildFlags } from './options/build-options.ts';
import type { ProgressMode } from './progress/progress.ts';
import type { Session } from './session.ts';

export interface Built {
  readonly result: BuildResult;
  readonly delivery: Delivery;
}

export interface Report {
  readonly request: BuildRequest;
  readonly flags: BuildFlags;
  readonly session: Session;
  readonly mode: ProgressMode;
  /** To stderr, as it is. */
  write(text: string): void;
  readonly tookMs: number;
}

/** @throws BuildError `output` when a file cannot be written */
export async function reportBuild(built: Built, report: Report): Promise<void> {
  const { flags, session, mode } = report;
  const id = imageId(built);
  if (flags.iidfile) await writeWhole(resolve(session.cwd, flags.iidfile), id);
  if (flags.metadataFile) {
    await writeWhole(
      resolve(session.cwd, flags.metadataFile),
      `${JSON.stringify(metadata(built), null, 2)}\n`,
    );
  }
  if (mode === 'quiet') {
    if (!built.delivery.usedStdout) session.out(`${id}\n`);
  } else if (mode === 'rawjson') {
    const { jsonLine } = await import('./progress/json.ts');
    report.write(jsonLine(resultShape(built, report.tookMs)));
  } else {
    const { renderDiagnostic } = await import('./report-error.ts');
    const { warnings } = built.result;
    if (warnings.length > 0) {
      session.err(`\n${warnings.length} warning${warnings.length === 1 ? '' : 's'}:\n`);
      for (const warning of warnings) session.err(renderDiagnostic(warning));
    }
    session.err(summary(built, report));
  }
}

function summary(built: Built, { request, tookMs }: Report): string {
  const { result, delivery } = built;
  const isUnnamed = request.tags.length === 0 && delivery.places.length === 0;
  const places = isUnnamed ? ['untagged, in the local store'] : delivery.places;
  const seconds = `${(tookMs / 1000).toFixed(1)}s`;
  const cached = `${result.cachedSteps} of ${result.totalSteps} steps cached`;
  return `built ${imageId(built)} in ${seconds}, ${cached}${places.map(place => `\n  ${place}`).join('')}\n`;
}

/** The last line of --progress=rawjson (docs/progress.md). */
function resultShape(built: Built, tookMs: number): object {
  const { result, delivery } = built;
  return {
    kind: 'result',
    id: imageId(built),
    ...(delivery.descriptor ? { descriptor: delivery.descriptor } : {}),
    names: result.images[0]?.names ?? [],
    places: delivery.places,
    cachedSteps: result.cachedSteps,
    totalSteps: result.totalSteps,
    tookMs,
    atMs: Date.now(),
  };
}

/** Of several platforms that of the index, as docker has it; files have none, so the first platform's stands for them. */
function imageId({ result: { images }, delivery: { descriptor } }: Built): Digest {
  const [first] = images;
  const id = images.length > 1 ? (descriptor?.digest ?? first?.configDigest) : first?.configDigest;
  if (id === undefined) throw new BuildError('internal', 'nothing was built');
  return id;
}

function metadata({ result, delivery }: Built): Record<string, unknown> {
  const names = result.images[0]?.names ?? [];
  return {
    'slipway.build.warnings': result.warnings.map(w => ({ rule: w.rule, message: w.message })),
    ...(result.images.length > 1 ? {} : { 'containerimage.config.digest': imageId({ result, delivery }) }),
    ...(delivery.descriptor
      ? {
          'containerimage.digest': delivery.descriptor.digest,
          'containerimage.descriptor': delivery.descriptor,
        }
      : {}),
    ...(names.length > 0 ? { 'image.name': names.join(',') } : {}),
  };
}

/** Never a half-written file under the final name. */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, text, { flag: 'wx' });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new BuildError('output', `cannot write ${path}: ${(cause as Error).message}`, { cause });
  }
}
