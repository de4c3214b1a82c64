// How contexts are opened for a build.
import type { ContextOptions } from '../context/open.ts';
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
    ...tools.contextHelpers,
  };
}
