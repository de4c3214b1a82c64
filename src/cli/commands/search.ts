// slipway search: images on Docker Hub, or repositories of another registry.
import type { Command } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import type { SearchResult } from '../../images/search.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';

interface SearchFlags extends RegistryFlags {
  readonly filter: readonly string[];
  readonly format?: string;
  readonly limit?: string;
  readonly trunc: boolean;
}

const heads = { Name: 'NAME', Description: 'DESCRIPTION', StarCount: 'STARS', IsOfficial: 'OFFICIAL' };

const inJson = { IsOfficial: { '[OK]': 'true', '': 'false' } };

export function defineSearch(program: Command, session: Session): void {
  addRegistryOptions(
    program
      .command('search')
      .description('look for images on Docker Hub, or among the repositories of HOST')
      .argument('<term>', 'part of a name; HOST/part for another registry')
      .addOption(repeated('-f, --filter <key=value>', 'stars=number, is-official=bool'))
      .option('--format <format>', 'table, "table TEMPLATE", json or a Go template for each result')
      .option('--limit <number>', 'at most this many results, up to 100 (default: 25)')
      .option('--no-trunc', 'do not shorten descriptions'),
  ).action((term: string, flags: SearchFlags) => search(term, flags, session));
}

async function search(term: string, flags: SearchFlags, session: Session): Promise<void> {
  const accepts = await parseFilters(flags.filter);
  const limit = parseLimit(flags.limit);
  requireAuthFile(flags, session.cwd);
  const [{ openRegistriesFor }, { searchImages }, { openHttp }, { renderListing }, { ellipsis }] =
    await Promise.all([
      import('../wire.ts'),
      import('../../images/search.ts'),
      import('../../host/http.ts'),
      import('../listing.ts'),
      import('../width.ts'),
    ]);
  const given = registryOptions(flags, [term.split('/')[0] ?? ''], session.cwd);
  const http = openHttp({ env: session.env });
  const registries = await openRegistriesFor(session, given);
  try {
    const hub = session.env.SLIPWAY_SEARCH_URL;
    const found = await searchImages(
      { term, limit, ...(hub ? { hub } : {}) },
      { http, registries: async () => registries, signal: session.signal },
    );
    const rows = found.filter(accepts).map(result => {
      const description = printable(result.description.replace(/[\r\n]+/g, ' '));
      return {
        Name: printable(result.name),
        Description: flags.trunc ? ellipsis(description, 45) : description,
        StarCount: String(result.stars),
        IsOfficial: result.official ? '[OK]' : '',
      };
    });
    session.out(
      renderListing(
        { heads, columns: ['Name', 'Description', 'StarCount', 'IsOfficial'], rows, inJson },
        flags.format,
      ),
    );
  } finally {
    await registries.close();
    await http.close();
  }
}

function parseLimit(text: string | undefined): number {
  if (text === undefined || text === '0') return 25;
  const limit = /^\d+$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= 100) return limit;
  throw new BuildError('usage', `--limit ${printable(text)} is not a number from 1 to 100`);
}

async function parseFilters(texts: readonly string[]): Promise<(result: SearchResult) => boolean> {
  const { booleanFilter, splitFilter, unknownFilter } = await import('../../images/filter.ts');
  const tests = texts.map(text => {
    const [key, value] = splitFilter(text);
    if (key === 'stars') {
      if (!/^\d+$/.test(value))
        throw new BuildError('usage', `the filter stars is a number, not "${printable(value)}"`);
      return (result: SearchResult) => result.stars >= Number(value);
    }
    if (key === 'is-official') {
      const wanted = booleanFilter(key, value);
      return (result: SearchResult) => result.official === wanted;
    }
    throw unknownFilter(key, ['stars', 'is-official']);
  });
  return result => tests.every(test => test(result));
}
