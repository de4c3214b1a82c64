// Plans a Dockerfile for tests, with images that exist only here.
import { parseDockerfile } from '../../src/dockerfile/parse.ts';
import { BuildError } from '../../src/errors.ts';
import type { ContainerConfig, ImageConfig } from '../../src/image/config.ts';
import { formatPlatform, type Platform } from '../../src/image/platform.ts';
import { explainGraph } from '../../src/plan/explain.ts';
import { makeGraph } from '../../src/plan/graph.ts';
import { type PlanOptions, planOptions } from '../../src/plan/options.ts';
import { makeOutline, type Outline } from '../../src/plan/outline.ts';
import { type BaseConfigs, missingBases } from '../../src/plan/reach.ts';
import type { Graph, PlannedStage } from '../../src/plan/steps.ts';

export const amd64: Platform = { os: 'linux', architecture: 'amd64' };

const PATH = 'PATH=/usr/bin:/bin';

/** By repository name; every other image is like busybox. */
const images: Readonly<Record<string, ContainerConfig>> = {
  busybox: { Env: [PATH], Cmd: ['sh'] },
  'no-path': { Env: ['HOME=/root'] },
  'with-cmd': { Env: [PATH], Cmd: ['from-base'], Healthcheck: { Test: ['CMD', 'old'], Retries: 7 } },
  'with-labels': { Env: [PATH], Labels: { z: 'base', a: 'base' } },
  'with-ports': { Env: [PATH], ExposedPorts: { '9/tcp': {} } },
  'with-shell': { Env: [PATH], Shell: ['/bin/fish', '-c'] },
  'with-workdir': { Env: [PATH], WorkingDir: '/base/dir', User: '1000' },
  onbuild: {
    Env: [PATH, 'FROM_IMAGE=yes'],
    OnBuild: ['COPY --from=helper /h /h', 'RUN echo $FROM_IMAGE', 'COPY --from=alpine:3 / /alpine'],
  },
};

export function outlineOf(text: string, options: Partial<PlanOptions> = {}): Outline {
  return makeOutline(parseDockerfile({ name: 'Dockerfile', text }), planOptions(amd64, options));
}

/** Configs of all images that the plan asks for. */
export function configsFor(outline: Outline): BaseConfigs {
  const configs = new Map<string, ImageConfig>();
  for (
    let missing = missingBases(outline, configs);
    missing.length > 0;
    missing = missingBases(outline, configs)
  ) {
    for (const { id, platform } of missing) {
      const name = /([^/|:]+)(?::[^/|]*)?\|/.exec(id)?.[1] ?? '';
      const config = images[name] ?? images.busybox ?? {};
      configs.set(id, {
        platform,
        config,
        diffIds: [],
        history: [],
        rest: {},
        created: '2020-01-01T00:00:00Z',
      });
    }
  }
  return configs;
}

export function graphOf(text: string, options: Partial<PlanOptions> = {}): Graph {
  const outline = outlineOf(text, options);
  return makeGraph(outline, configsFor(outline));
}

/** The stage that becomes the image. */
export function targetOf(text: string, options: Partial<PlanOptions> = {}): PlannedStage {
  const graph = graphOf(text, options);
  const found = graph.stages.find(stage => stage.index === graph.target);
  if (found === undefined) throw new Error('the target is not among the stages');
  return found;
}

/** The config of the image. */
export function configOf(text: string, options: Partial<PlanOptions> = {}): ContainerConfig {
  return targetOf(text, options).config.config;
}

/** What history says of the target's steps. */
export function historyOf(text: string, options: Partial<PlanOptions> = {}): string[] {
  return targetOf(text, options).steps.map(step => step.createdBy);
}

/** The error that planning ends with. */
export function errorOf(text: string, options: Partial<PlanOptions> = {}): BuildError {
  try {
    graphOf(text, options);
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error('planning succeeded');
}

/** A plan or the error that it ends with, and the images asked for, as text. */
export function planText(text: string, options: Partial<PlanOptions> = {}): string {
  try {
    const outline = outlineOf(text, options);
    const configs = configsFor(outline);
    const ids = [...configs].map(([id, config]) => `base ${id} (${formatPlatform(config.platform)})\n`);
    const epoch = outline.sourceDateEpoch === undefined ? '' : `epoch ${outline.sourceDateEpoch}\n`;
    return `${ids.join('')}${epoch}${explainGraph(makeGraph(outline, configs))}`;
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return [error, ...error.diagnostics]
      .map(({ message, hint, range }) => {
        const place =
          range === undefined ? '' : `${range.file.name}:${range.start.line}:${range.start.column} `;
        return `error ${place}${message}${hint === undefined ? '' : `\n  hint: ${hint}`}\n`;
      })
      .join('');
  }
}
