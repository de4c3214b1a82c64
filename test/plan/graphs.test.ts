// The corpus: each Dockerfile gives the plan that lies next to it. SLIPWAY_WRITE_CORPUS=1 writes the plans anew; read
// the difference before committing it.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parsePlatform } from '../../src/image/platform.ts';
import type { NamedContext, PlanOptions } from '../../src/plan/options.ts';
import { repoRoot } from '../support/repo.ts';
import { planText } from './planning.ts';

const corpus = join(repoRoot, 'test/corpus/graphs');

interface Options {
  readonly target?: string;
  readonly keepUnused?: boolean;
  readonly platform?: string;
  readonly buildArgs?: Record<string, string>;
  readonly contexts?: Record<string, NamedContext>;
}

function optionsOf(dir: string): Partial<PlanOptions> {
  const file = join(dir, 'options.json');
  if (!existsSync(file)) return {};
  const { platform, buildArgs, contexts, ...rest } = JSON.parse(readFileSync(file, 'utf8')) as Options;
  return {
    ...rest,
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
    ...(buildArgs === undefined ? {} : { buildArgs: new Map(Object.entries(buildArgs)) }),
    ...(contexts === undefined ? {} : { namedContexts: new Map(Object.entries(contexts)) }),
  };
}

describe('the plan of a Dockerfile', () => {
  const cases = readdirSync(corpus);
  it('has a corpus of at least 30 cases', () => {
    assert.ok(cases.length >= 30, `${cases.length} cases`);
  });
  for (const name of cases) {
    it(`is as written down: ${name}`, () => {
      const dir = join(corpus, name);
      const plan = planText(readFileSync(join(dir, 'Dockerfile'), 'utf8'), optionsOf(dir));
      const file = join(dir, 'plan.txt');
      if (process.env.SLIPWAY_WRITE_CORPUS === '1') writeFileSync(file, plan);
      assert.equal(plan, readFileSync(file, 'utf8'));
    });
  }
});
