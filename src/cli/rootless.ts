// An ordinary user's build goes on as root of a user namespace, where that can be had: RUN and the owners of files need
// it. Where it cannot, the command goes on as it is; a build without RUN needs none of it.
import { enterUserNamespace } from '../sandbox/rootless.ts';
import type { Session } from './session.ts';

/** Returns when the command is to go on in this process, with the reason why it stayed. */
export async function enterRootless(session: Session): Promise<string> {
  const argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  return enterUserNamespace(argv, session.env);
}
