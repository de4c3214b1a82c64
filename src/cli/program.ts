// The command line: commands and their flags, as docker names them. What a command does is imported when it runs.
import { Command, type CommanderError } from 'commander';
import { defineBuild } from './commands/build.ts';
import { defineCache } from './commands/cache.ts';
import { defineDu } from './commands/du.ts';
import { defineImageCommands } from './commands/image.ts';
import { defineInfo } from './commands/info.ts';
import { defineLint } from './commands/lint.ts';
import { defineLogin } from './commands/login.ts';
import { defineLogs } from './commands/logs.ts';
import { defineManifest } from './commands/manifest.ts';
import { definePrune } from './commands/prune.ts';
import { definePull } from './commands/pull.ts';
import { definePush } from './commands/push.ts';
import { type Session, UsageShown } from './session.ts';
import { version } from './version.ts';

const commands = [
  defineBuild,
  defineImageCommands,
  definePull,
  definePush,
  defineLogin,
  defineManifest,
  defineLint,
  defineCache,
  defineDu,
  definePrune,
  defineLogs,
  defineInfo,
];

/** @throws UsageShown after help or a usage error, whatever the command throws otherwise */
export function makeProgram(session: Session): Command {
  const program = new Command('slipway');
  program
    .description('Builds container images without a daemon')
    .version(`slipway ${version}`, '--version', 'print the version (alone also -v)')
    .option('-D, --debug', 'show stack traces and details of errors')
    .option('--root <dir>', 'directory of the local store (default: SLIPWAY_ROOT or the user data directory)')
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: session.out,
      writeErr: session.err,
      outputError: (text, write) => write(text),
    });
  for (const define of commands) define(program, session);
  guard(program);
  return program;
}

/** Commander ends the process by itself unless every command is told not to. */
function guard(command: Command): void {
  command.exitOverride((error: CommanderError) => {
    throw new UsageShown(error.exitCode === 0 ? 0 : 2);
  });
  if (command.parent) command.copyInheritedSettings(command.parent);
  for (const child of command.commands) guard(child as Command);
}
