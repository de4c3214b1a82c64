// slipway lint: the checks of a Dockerfile by themselves, for people, programs and code scanners. Asks no registry.
import type { Command } from 'commander';
import { Option } from 'commander';
import type { LintFormat } from '../../dockerfile/lint/report.ts';
import type { Session } from '../session.ts';

interface LintFlags {
  readonly file?: string;
  readonly format: string;
  readonly buildArg: readonly string[];
}

export function defineLint(program: Command, session: Session): void {
  program
    .command('lint')
    .description('check a Dockerfile without building; status 1 when something is found')
    .argument('[context]', 'directory of the Dockerfile', '.')
    .option('-f, --file <path>', 'Dockerfile, "-" for stdin (default: Dockerfile in the context)')
    .addOption(
      new Option('--format <format>', 'how findings are printed')
        .choices(['text', 'json', 'sarif'])
        .default('text'),
    )
    .addOption(
      new Option('--build-arg <name=value>', 'value of an ARG')
        .argParser((value: string, earlier: readonly string[]) => [...earlier, value])
        .default([], 'none'),
    )
    .action(async (context: string, flags: LintFlags) => {
      const { printChecks } = await import('../inspect-dockerfile.ts');
      const { makeBuildRequest } = await import('../options/build-request.ts');
      const { buildDefaults } = await import('../options/build-options.ts');
      const given = flags.file === undefined ? {} : { file: flags.file };
      const request = makeBuildRequest(
        context,
        { ...buildDefaults, ...given, buildArg: flags.buildArg },
        session.env,
        session.cwd,
      );
      await printChecks(flags.format as LintFormat, request, session);
    });
}
