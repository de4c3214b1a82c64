// --build-context name=source: what each name stands for in the plan, and the directories behind the names.
import { isAbsolute, resolve } from 'node:path';
import { type OpenedContext, openContext } from '../context/open.ts';
import { BuildError, printable } from '../errors.ts';
import type { NamedContext } from '../plan/options.ts';
import { contextOptions } from './context-options.ts';
import type { BuildRequest } from './request.ts';
import type { Tools } from './tools.ts';

const imagePrefix = 'docker-image://';
const layoutPrefix = 'oci-layout://';
const targetPrefix = 'target:';

/** @throws BuildError `usage` for a source that is nothing known */
export function namedContextsOf(request: BuildRequest): ReadonlyMap<string, NamedContext> {
  return new Map(
    [...request.namedContexts].map(([name, source]) => [name, contextOf(name, source, request.cwd)]),
  );
}

function contextOf(name: string, source: string, cwd: string): NamedContext {
  if (source.startsWith(imagePrefix)) return { kind: 'image', reference: source.slice(imagePrefix.length) };
  if (source.startsWith(layoutPrefix)) {
    const path = source.slice(layoutPrefix.length);
    return { kind: 'image', reference: `${layoutPrefix}${isAbsolute(path) ? path : resolve(cwd, path)}` };
  }
  if (/^(?:oci|oci-archive|docker-archive):/.test(source)) return { kind: 'image', reference: source };
  if (source.startsWith(targetPrefix)) return { kind: 'target', stage: source.slice(targetPrefix.length) };
  if (source === '-' || source === '') {
    throw new BuildError('usage', `--build-context ${printable(name)}=${printable(source)} is not a source`, {
      hint: 'use a directory, a URL, docker-image://NAME, oci-layout://PATH or target:STAGE',
    });
  }
  return { kind: 'directory' };
}

export interface OpenedContexts {
  readonly contexts: ReadonlyMap<string, OpenedContext>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens those that are files; each honours its own ignore file. */
export async function openNamedContexts(
  named: ReadonlyMap<string, NamedContext>,
  request: BuildRequest,
  tools: Tools,
): Promise<OpenedContexts> {
  const contexts = new Map<string, OpenedContext>();
  const dispose = async () => {
    for (const each of [...contexts.values()].reverse()) await each[Symbol.asyncDispose]();
  };
  try {
    for (const [name, meaning] of named) {
      if (meaning.kind !== 'directory') continue;
      const source = request.namedContexts.get(name) ?? '';
      const context = await openContext(source, {
        ...contextOptions(request, tools),
        dockerfile: 'none',
        name,
      });
      contexts.set(name, context);
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { contexts, [Symbol.asyncDispose]: dispose };
}
