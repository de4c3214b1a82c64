// How contexts are opened for a build.
import type { ContextOptions } from '../context/open.ts';
import { parseBoolean } from '../dockerfile/directives.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

export function contextOptions(request: BuildRequest, tools: Tools): ContextOptions {
  return {
    cwd: request.cwd,
    ...(request.file === undefined ? {} : { file: request.file }),
    // Made when somebody needs it, which most contexts do not.
    get tmp() {
      return tools.store.tmp;
    },
    signal: tools.signal,
    secrets: request.secrets,
    ...(parseBoolean(request.buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR') ?? '')
      ? { keepGitDir: true }
      : {}),
    ...tools.contextHelpers,
  };
}
