// slipway build --check and --call: what a Dockerfile says, without building it.
import type { Command } from 'commander';
import type { BuildRequest } from '../../build/request.ts';
import { BuildError, printable } from '../../errors.ts';
import type { ImageConfig } from '../../image/config.ts';
import type { Outline } from '../../plan/outline.ts';
import { outlineDockerfile, printChecks, readStages } from '../inspect-dockerfile.ts';
import type { GivenRegistryOptions } from '../options/registry-options.ts';
import type { Session } from '../session.ts';

const methods = ['check', 'outline', 'targets'];

/** @param call `check`, `outline` or `targets`, perhaps with `,format=json` */
export async function callBuild(
  request: BuildRequest,
  call: string,
  session: Session,
  command: Command,
  registries: GivenRegistryOptions,
): Promise<void> {
  const [method = '', ...options] = call.split(',');
  const format = options.find(option => option.startsWith('format='))?.slice('format='.length) ?? 'text';
  const unknown = options.find(option => !option.startsWith('format='));
  if (!methods.includes(method) || unknown !== undefined || !['text', 'json'].includes(format)) {
    throw new BuildError('usage', `--call ${printable(call)} is not a method`, {
      hint: `use build, ${methods.join(', ')}, each with or without ,format=json`,
    });
  }
  if (method === 'check') {
    await printChecks(format === 'json' ? 'json' : 'text', request, session, outline =>
      baseConfigs(outline, request, session, command, registries),
    );
    return;
  }
  const { describeOutline, formatOutline, formatTargets, listTargets } = await import('../../plan/call.ts');
  const show = <T>(value: T, text: (value: T) => string) =>
    session.out(format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : text(value));
  if (method === 'targets') {
    show(listTargets(await readStages(request, session)), formatTargets);
    return;
  }
  const outline = await outlineDockerfile(request, session);
  show(
    describeOutline(outline, await baseConfigs(outline, request, session, command, registries)),
    formatOutline,
  );
}

/** What the images in reach say: their ONBUILD triggers are part of the outline, their variables known to the checks. */
async function baseConfigs(
  outline: Outline,
  request: BuildRequest,
  session: Session,
  command: Command,
  registries: GivenRegistryOptions,
): Promise<ReadonlyMap<string, ImageConfig>> {
  if (outline.bases.length === 0) return new Map();
  const [{ openTools }, { findAllBases }] = await Promise.all([
    import('../wire.ts'),
    import('../../build/bases.ts'),
  ]);
  await using wired = await openTools(session, command, { emit: () => {}, isolation: 'auto', registries });
  return (await findAllBases(outline, request, wired.tools)).configs;
}
