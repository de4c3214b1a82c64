// What a build with --offline would have to ask a server for, all of it at once.
import { BuildError, printable } from '../errors.ts';
import type { Outline } from '../plan/outline.ts';
import type { Graph } from '../plan/steps.ts';
import type { BuildRequest } from './request.ts';

const isRemote = /^(?:https?:\/\/|git@|git:\/\/|ssh:\/\/)/;

/** @throws BuildError `not-found` for contexts and Dockerfiles on servers */
export function refuseRemoteContexts({ context, file, namedContexts }: BuildRequest): void {
  const remote = [context, ...(file === undefined ? [] : [file]), ...namedContexts.values()].filter(text =>
    isRemote.test(text),
  );
  if (remote.length > 0) throw missingOffline(remote);
}

/** What ADD names in the stages in reach, as it is written: bases that could expand it may be missing too. */
export function remoteSources({ stages, reach }: Outline): string[] {
  const instructions = stages
    .filter(({ index }) => reach.includes(index))
    .flatMap(stage => stage.instructions);
  return instructions.flatMap(instruction => {
    if (instruction.kind !== 'add') return [];
    return instruction.sources.flatMap(source =>
      'raw' in source && isRemote.test(source.raw) ? [source.raw] : [],
    );
  });
}

/** @throws BuildError `not-found` when a step needs a download */
export function refuseRemoteSources({ stages }: Pick<Graph, 'stages'>): void {
  const steps = stages.flatMap(stage => stage.steps);
  const urls = steps.flatMap(step =>
    step.kind === 'copy' ? step.items.flatMap(item => ('url' in item ? [item.url] : [])) : [],
  );
  if (urls.length > 0) throw missingOffline(urls);
}

export function missingOffline(names: readonly string[]): BuildError {
  const all = [...new Set(names)].map(printable);
  const what = all.length === 1 ? 'one thing that is not here' : `${all.length} things that are not here`;
  return new BuildError('not-found', `the build is offline and needs ${what}`, {
    output: all,
    hint: 'build once without --offline, or slipway pull the images',
  });
}
