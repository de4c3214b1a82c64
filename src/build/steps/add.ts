// What ADD can do and COPY cannot (https://docs.docker.com/reference/dockerfile/#add): files from URLs, git references,
// archives that are unpacked.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { safeName } from '../../context/download.ts';
import type { ContextHelpers } from '../../context/open.ts';
import { BuildError, printable } from '../../errors.ts';
import { temporaryName } from '../../host/temp.ts';
import type { Digest } from '../../image/digest.ts';
import type { CopyItem, CopyStep } from '../../plan/steps.ts';
import { bytePath } from '../../tree/entry.ts';
import type { FetchedItems, FileSource, TreeSource } from './copy-selection.ts';

/** What fetching needs of a build. */
export interface FetchScope {
  readonly tools: {
    readonly contextHelpers: ContextHelpers;
    readonly store: { readonly tmp: string };
  };
  readonly signal: AbortSignal;
}

/**
 * Fetches the URL and git items of an ADD. Files stay in the store's temporary directory until the build ends.
 * @throws BuildError `network`, `not-found`, `auth`; `integrity` when --checksum does not match
 */
export async function fetchItems(step: CopyStep, scope: FetchScope): Promise<FetchedItems> {
  const found: [CopyItem, FileSource | TreeSource][] = [];
  for (const item of step.items) {
    if (item.kind === 'url') found.push([item, await fetchUrl(item, step, scope)]);
  }
  return new Map(found);
}

async function fetchUrl(
  item: CopyItem & { kind: 'url' },
  step: CopyStep,
  scope: FetchScope,
): Promise<FileSource> {
  const to = join(scope.tools.store.tmp, temporaryName('add-'));
  const { download } = scope.tools.contextHelpers;
  if (!download) throw new BuildError('unsupported', `${printable(item.url)} cannot be downloaded here`);
  const got = await download({ url: item.url, to, signal: scope.signal });
  if (step.checksum !== undefined && step.checksum !== got.digest) {
    await rm(to, { force: true });
    throw mismatch(item, step.checksum, got.digest);
  }
  return {
    kind: 'file',
    name: bytePath(got.name ?? nameOfUrl(item.url)),
    mode: 0o600,
    // BuildKit: a file without a Last-Modified is from the beginning of time, so that it stays the same file.
    mtimeSec: got.lastModifiedSec ?? 0,
    size: got.size,
    content: { kind: 'range', file: to, offset: 0, size: got.size },
    digest: got.digest,
  };
}

function mismatch(item: CopyItem & { kind: 'url' }, expected: string, found: Digest): BuildError {
  return new BuildError(
    'integrity',
    `${printable(item.url)} does not have the checksum that --checksum asks for`,
    {
      range: item.range,
      hint: `what was downloaded is ${found}`,
      facts: { expected, found },
    },
  );
}

function nameOfUrl(url: string): string {
  const { pathname } = new URL(url);
  let last = pathname.split('/').at(-1) ?? '';
  try {
    last = decodeURIComponent(last);
  } catch {
    // No percent-encoding after all.
  }
  return safeName(last) ?? '__unnamed__';
}
