// slipway inspect, image inspect: everything about images, as docker's JSON or through a Go template.
import type { Command } from 'commander';
import { BuildError } from '../../errors.ts';
import type { Session } from '../session.ts';

interface InspectFlags {
  readonly format?: string;
  readonly platform?: string;
}

export function defineInspect(parent: Command, session: Session): void {
  parent
    .command('inspect')
    .description('show everything about images, as JSON')
    .argument('<image...>', 'names, ids, or docker-archive:, oci-archive:, oci:, docker:// references')
    .option('-f, --format <format>', 'json or a Go template, such as {{.Architecture}}')
    .option('--platform <os/arch[/variant]>', 'platform to show of an image of several')
    .action((names: string[], flags: InspectFlags, command: Command) =>
      inspectImages(names, flags, session, command),
    );
}

async function inspectImages(
  names: readonly string[],
  flags: InspectFlags,
  session: Session,
  command: Command,
): Promise<void> {
  const [{ openImageTools }, { compileTemplate }, { inspectValue }, { renderError }] = await Promise.all([
    import('../wire.ts'),
    import('../template/run.ts'),
    import('../inspect-value.ts'),
    import('../report-error.ts'),
  ]);
  const template = flags.format && flags.format !== 'json' ? compileTemplate(flags.format) : undefined;
  await using wired = await openImageTools(session, command);
  const found: Record<string, unknown>[] = [];
  const errors: BuildError[] = [];
  for (const name of names) {
    try {
      found.push(await describe(name, flags, wired.images));
    } catch (error) {
      if (!(error instanceof BuildError) || error.code === 'internal') throw error;
      errors.push(error);
    }
  }
  if (template) {
    for (const one of found) session.out(`${template(inspectValue(one))}\n`);
    if (found.length === 0) session.out('\n');
  } else session.out(`${JSON.stringify(found, null, flags.format === 'json' ? 0 : 4)}\n`);
  for (const error of errors) session.err(renderError(error, session.debug));
  if (errors.length > 0) session.status = 1;
}

async function describe(
  name: string,
  flags: InspectFlags,
  tools: import('../../images/tools.ts').ImageTools,
): Promise<Record<string, unknown>> {
  const [{ openImage }, { imageSize }, { inspectImage }, { parsePlatform }] = await Promise.all([
    import('../../images/source.ts'),
    import('../../images/sizes.ts'),
    import('../../images/inspect.ts'),
    import('../../image/platform.ts'),
  ]);
  const image = await openImage(name, tools, flags.platform ? parsePlatform(flags.platform) : undefined);
  return inspectImage({
    id: image.id,
    descriptor: image.descriptor,
    config: image.config,
    repoTags: image.tags,
    repoDigests: image.digests,
    size: await imageSize(image, tools),
    ...(image.local ? { touchedAt: image.local.touchedAt } : {}),
  });
}
