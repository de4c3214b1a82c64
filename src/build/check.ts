// The findings of a build that do not stop it: what the parser noticed, what the lint rules say, what the plan noticed.
import type { IgnoreRules } from '../context/ignore.ts';
import type { Dockerfile } from '../dockerfile/instructions.ts';
import { lintDockerfile, lintError } from '../dockerfile/lint/run.ts';
import type { BaseFacts, LintContext } from '../dockerfile/lint/subject.ts';
import type { Diagnostic } from '../errors.ts';
import type { ImageConfig } from '../image/config.ts';
import { platformArgs } from '../plan/args.ts';
import type { Outline } from '../plan/outline.ts';
import { bytePath } from '../tree/entry.ts';

export interface CheckInput {
  readonly dockerfile: Dockerfile;
  readonly outline: Outline;
  readonly ignore: IgnoreRules;
  /** Configs of the images that were looked up, by id. None when nothing was asked of a registry. */
  readonly configs: ReadonlyMap<string, ImageConfig>;
}

/**
 * @returns the findings of the checks, in file order
 * @throws BuildError `dockerfile` when the Dockerfile says that findings are errors (`# check=error=true`)
 */
export function checkDockerfile(input: CheckInput): readonly Diagnostic[] {
  const context = lintContext(input);
  const findings = lintDockerfile(input.dockerfile, context);
  const error = lintError(input.dockerfile, findings, context);
  if (error) throw error;
  return findings;
}

/** What the rules may know about the build. */
export function lintContext({ outline, ignore, configs }: CheckInput): LintContext {
  const { options } = outline;
  const bases = new Map<number, BaseFacts>();
  for (const stage of outline.stages) {
    const config = stage.base && configs.get(stage.base.id);
    if (!config) continue;
    bases.set(stage.index, {
      env: config.config.Env ?? [],
      ...(config.config.Shell ? { shell: config.config.Shell } : {}),
      platform: config.platform,
      expectedPlatform: stage.platform,
    });
  }
  return {
    buildArgs: options.buildArgs,
    platformArgs: platformArgs(options, options.target ?? ''),
    stages: new Set(outline.reach),
    bases,
    ...(ignore.empty
      ? {}
      : {
          ignoredSource: path => ignore.ignores(bytePath(path)),
          hasNegatedIgnore: /^\s*!/m.test(ignore.file.text),
        }),
  };
}
