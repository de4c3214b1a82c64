// slipway build: one Dockerfile and its context -> an image, delivered where the outputs say.
import { writeFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BuildResult } from '../../build/build.ts';
import type { Delivery } from '../../build/deliver.ts';
import type { BuildRequest } from '../../build/request.ts';
import type { Tools } from '../../build/tools.ts';
import { BuildError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { Digest } from '../../image/digest.ts';
import { parseReference } from '../../image/reference.ts';
import type { ImageTools } from '../../images/tools.ts';
import { keepHouse } from '../housekeeping.ts';
import { addBuildOptions, type BuildFlags } from '../options/build-options.ts';
import { type GivenRegistryOptions, registryOptions, requireAuthFile } from '../options/registry-options.ts';
import type { ProgressMode } from '../progress/progress.ts';
import type { Session } from '../session.ts';
import type { Wired } from '../wire.ts';

export function defineBuild(program: Command, session: Session): void {
  addBuildOptions(
    program
      .command('build')
      .description('build an image from a Dockerfile')
      .argument('<context>', 'directory, "-" for stdin, tar file, git or http URL'),
  ).action(async (context: string, flags: BuildFlags, command: Command) => {
    const { makeBuildRequest } = await import('../options/build-request.ts');
    const request = makeBuildRequest(context, flags, session.env, session.cwd);
    if (flags.check || (flags.call && flags.call !== 'build')) {
      const { callBuild } = await import('./call.ts');
      await callBuild(
        request,
        flags.check ? 'check' : (flags.call ?? 'check'),
        session,
        command,
        registriesOf(request, flags, session),
      );
      return;
    }
    await runBuild(request, flags, session, command);
  });
}

async function runBuild(
  request: BuildRequest,
  flags: BuildFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const { openProgress } = await import('../progress/progress.ts');
  for (const name of ['rm', 'forceRm', 'compress'] as const) {
    if (flags[name])
      session.err(
        `note: --${name === 'forceRm' ? 'force-rm' : name} has no meaning here: there is no daemon\n`,
      );
  }
  if (flags.iidfile) await rm(resolve(session.cwd, flags.iidfile), { force: true });
  const mode = progressMode(flags, session);
  const progress = await openProgress(mode, {
    write: text => session.err(text),
    isTTY: process.stderr.isTTY === true,
    columns: process.stderr.columns ?? 80,
  });
  let done: { result: BuildResult; delivery: Delivery };
  const started = Date.now();
  try {
    done = await buildAndDeliver(request, flags, session, command, progress.emit);
  } finally {
    progress.close();
  }
  await report(done.result, done.delivery, request, flags, session, Date.now() - started, mode === 'quiet');
}

function progressMode(flags: BuildFlags, session: Session): ProgressMode {
  if (flags.quiet || flags.progress === 'quiet' || flags.progress === 'none') return 'quiet';
  if (flags.progress === 'auto' && session.env.BUILDKIT_PROGRESS === 'plain') return 'plain';
  return flags.progress as ProgressMode;
}

async function buildAndDeliver(
  request: BuildRequest,
  flags: BuildFlags,
  session: Session,
  command: Command,
  emit: Emit,
): Promise<{ result: BuildResult; delivery: Delivery }> {
  const [{ openTools }, { build }, { checkDestinations, deliver }, { healing }] = await Promise.all([
    import('../wire.ts'),
    import('../../build/build.ts'),
    import('../../build/deliver.ts'),
    import('../../build/heal.ts'),
  ]);
  const stdout = { stdout: process.stdout, stdoutIsTerminal: process.stdout.isTTY === true };
  await checkDestinations(request, stdout);
  const handOver = flags.load ? await engineFor(session) : undefined;
  const registries = registriesOf(request, flags, session);
  const offline = request.offline ?? false;
  await using wired = await openTools(session, command, {
    emit,
    isolation: flags.isolation,
    registries,
    offline,
  });
  const warn = (text: string) => session.err(`warning: ${text}\n`);
  const work = async () => {
    const result = await withMountTravel(request, wired, warn, tools => build(request, tools));
    const delivery = await deliver(result.images, request, wired.tools, {
      push: wired.push,
      stream: wired.stream,
      ...stdout,
    });
    await handOver?.(result.images, wired.images);
    return { result, delivery };
  };
  // What went to stdout cannot be taken back.
  const isStream = request.outputs.some(spec => 'dest' in spec && spec.dest === '-');
  const done = isStream ? await work() : await healing(wired.tools.store, warn, work);
  await keepHouse(wired.tools.store, session);
  return done;
}

/** Cache mounts are sent away also when the build failed: what a step downloaded is worth keeping. */
async function withMountTravel(
  request: BuildRequest,
  { tools, images }: Wired,
  warn: (text: string) => void,
  work: (tools: Tools) => Promise<BuildResult>,
): Promise<BuildResult> {
  const { cacheMountFrom: from = [], cacheMountTo: to = [] } = request;
  if (from.length === 0 && to.length === 0) return work(tools);
  const [{ openMountPlace }, { travelling }] = await Promise.all([
    import('../wire.ts'),
    import('../../build/cache-mounts/travel.ts'),
  ]);
  return travelling(from, to, { ...tools, warn, open: openMountPlace(images) }, tools.signal, mountTravel =>
    work({ ...tools, mountTravel }),
  );
}

/** For --load; that there is an engine is found out before anything is built. */
async function engineFor(session: Session) {
  const [{ findEngine }, { handOverBuilt }] = await Promise.all([
    import('../../images/engine.ts'),
    import('../../images/hand-over.ts'),
  ]);
  const address = findEngine(session.env, process.geteuid?.() ?? 0);
  return (images: BuildResult['images'], tools: ImageTools) => handOverBuilt(images, address, tools);
}

/** Of several platforms that of the index, as docker has it; files have none, so the first platform's stands for them. */
function imageId({ images }: BuildResult, { descriptor }: Delivery): Digest {
  const [first] = images;
  const id = images.length > 1 ? (descriptor?.digest ?? first?.configDigest) : first?.configDigest;
  if (id === undefined) throw new BuildError('internal', 'nothing was built');
  return id;
}

/** `--creds` is for the registry that the image's names are in. */
function registriesOf(request: BuildRequest, flags: BuildFlags, session: Session): GivenRegistryOptions {
  requireAuthFile(flags, session.cwd);
  const named = request.outputs.flatMap(spec => ('names' in spec ? (spec.names ?? []) : []));
  const hosts = [...request.tags, ...named.map(parseReference)].map(reference => reference.domain);
  return registryOptions(flags, hosts, session.cwd);
}

async function report(
  result: BuildResult,
  delivery: Delivery,
  request: BuildRequest,
  flags: BuildFlags,
  session: Session,
  tookMs: number,
  quiet: boolean,
): Promise<void> {
  const { renderDiagnostic } = await import('../report-error.ts');
  const id = imageId(result, delivery);
  if (flags.iidfile) await writeWhole(resolve(session.cwd, flags.iidfile), id);
  if (flags.metadataFile) {
    await writeWhole(
      resolve(session.cwd, flags.metadataFile),
      `${JSON.stringify(metadata(result, delivery), null, 2)}\n`,
    );
  }
  if (quiet) {
    if (!delivery.usedStdout) session.out(`${id}\n`);
    return;
  }
  if (result.warnings.length > 0) {
    session.err(`\n${result.warnings.length} warning${result.warnings.length === 1 ? '' : 's'}:\n`);
    for (const warning of result.warnings) session.err(renderDiagnostic(warning));
  }
  const where = [
    ...delivery.places,
    ...(request.tags.length === 0 && delivery.places.length === 0 ? ['untagged, in the local store'] : []),
  ];
  session.err(
    `built ${id} in ${(tookMs / 1000).toFixed(1)}s, ${result.cachedSteps} of ${result.totalSteps} steps cached${where.map(w => `\n  ${w}`).join('')}\n`,
  );
}

function metadata(result: BuildResult, delivery: Delivery): Record<string, unknown> {
  const names = result.images[0]?.names ?? [];
  return {
    'slipway.build.warnings': result.warnings.map(w => ({ rule: w.rule, message: w.message })),
    ...(result.images.length > 1 ? {} : { 'containerimage.config.digest': imageId(result, delivery) }),
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
