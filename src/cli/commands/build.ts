// slipway build: one Dockerfile and its context -> an image, delivered where the outputs say.
import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BuildResult } from '../../build/build.ts';
import type { BuildRequest } from '../../build/request.ts';
import type { Tools } from '../../build/tools.ts';
import type { Emit } from '../../events.ts';
import { parseReference } from '../../image/reference.ts';
import type { ImageTools } from '../../images/tools.ts';
import { type Built, reportBuild } from '../build-report.ts';
import { keepHouse } from '../housekeeping.ts';
import { addBuildOptions, type BuildFlags } from '../options/build-options.ts';
import { checkContentTrust } from '../options/content-trust.ts';
import { type GivenRegistryOptions, registryOptions, requireAuthFile } from '../options/registry-options.ts';
import type { ProgressMode } from '../progress/progress.ts';
import type { Session } from '../session.ts';
import { watched } from '../watched-stream.ts';
import type { Wired } from '../wire.ts';

export function defineBuild(program: Command, started: Session): void {
  addBuildOptions(
    program
      .command('build')
      .description('build an image from a Dockerfile')
      .argument('<context>', 'directory, "-" for stdin, tar file, git or http URL'),
  ).action(async (context: string, flags: BuildFlags, command: Command) => {
    const isJson = progressMode(flags, started) === 'rawjson';
    const session = isJson ? (await import('../progress/json.ts')).jsonSession(started) : started;
    checkContentTrust(flags, session);
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
    await runBuild(request, flags, session, command, text => started.err(text));
  });
}

async function runBuild(
  request: BuildRequest,
  flags: BuildFlags,
  session: Session,
  command: Command,
  write: (text: string) => void,
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
    write,
    isTTY: process.stderr.isTTY === true,
    columns: process.stderr.columns ?? 80,
  });
  let done: Built;
  const started = Date.now();
  try {
    done = await buildAndDeliver(request, flags, session, command, progress.emit);
  } finally {
    progress.close();
  }
  await reportBuild(done, { request, flags, session, mode, write, tookMs: Date.now() - started });
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
): Promise<Built> {
  const [
    { openTools },
    { build },
    { checkDestinations, checkPushRights, deliver },
    { healing },
    { openCaches },
  ] = await Promise.all([
    import('../wire.ts'),
    import('../../build/build.ts'),
    import('../../build/deliver.ts'),
    import('../../build/heal.ts'),
    import('../remote-caches.ts'),
  ]);
  const written = watched(process.stdout);
  const stdout = { stdout: written.stream, stdoutIsTerminal: process.stdout.isTTY === true };
  await checkDestinations(request, stdout);
  const handOver = flags.load ? await engineFor(session) : undefined;
  const registries = registriesOf(request, flags, session);
  const offline = request.offline ?? false;
  await using wired = await openTools(session, command, {
    emit,
    isolation: flags.isolation === 'default' ? 'auto' : flags.isolation,
    registries,
    offline,
  });
  if (!offline) await checkPushRights(request, wired.checkPushRight, session.signal);
  const warn = (text: string) => session.err(`warning: ${text}\n`);
  const caches = await openCaches(request, wired, warn);
  const work = async () => {
    const result = await withMountTravel(request, { ...wired, tools: caches.tools }, warn, tools =>
      build(request, tools),
    );
    const delivery = await deliver(result.images, request, caches.tools, {
      push: wired.push,
      stream: wired.stream,
      ...stdout,
    });
    await handOver?.(result.images, wired.images);
    return { result, delivery };
  };
  const mayRepeat = () => !written.isUsed();
  const done = await caches.kept(() => healing(wired.tools.store, warn, work, mayRepeat));
  await keepHouse(wired.tools.store, session);
  return done;
}

/** Cache mounts are sent away also when the build failed: what a step downloaded is worth keeping. */
async function withMountTravel(
  request: BuildRequest,
  wired: Wired,
  warn: (text: string) => void,
  work: (tools: Tools) => Promise<BuildResult>,
): Promise<BuildResult> {
  const { cacheMountFrom: from = [], cacheMountTo: to = [] } = request;
  if (from.length === 0 && to.length === 0) return work(wired.tools);
  const [{ openMountDepot }, { travelling }] = await Promise.all([
    import('../mount-depot.ts'),
    import('../../build/cache-mounts/travel.ts'),
  ]);
  const { tools } = wired;
  const places = [...from, ...to].map(({ place }) => place);
  await using depot = await openMountDepot(wired, places);
  return await travelling(from, to, { ...tools, warn, depot }, tools.signal, mountTravel =>
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

/** `--creds` is for the registry that the image's names are in. */
function registriesOf(request: BuildRequest, flags: BuildFlags, session: Session): GivenRegistryOptions {
  requireAuthFile(flags, session.cwd);
  const named = request.outputs.flatMap(spec => ('names' in spec ? (spec.names ?? []) : []));
  const hosts = [...request.tags, ...named.map(parseReference)].map(reference => reference.domain);
  return registryOptions(flags, hosts, session.cwd);
}
