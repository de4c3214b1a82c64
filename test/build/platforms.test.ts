// Plans of several platforms joined into one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinGraphs, type PlatformGraph, refuseForeignRuns } from '../../src/build/platforms.ts';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';
import { emptyConfig } from '../../src/image/config.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../../src/image/platform.ts';
import { makeGraph } from '../../src/plan/graph.ts';
import { planOptions } from '../../src/plan/options.ts';
import { makeOutline } from '../../src/plan/outline.ts';

/** The plan for each platform, on bases that exist for all of them. */
function plan(text: string, ...platforms: string[]): PlatformGraph[] {
  const dockerfile = parseDockerfile({ name: 'Dockerfile', text });
  return platforms.map(name => {
    const platform = parsePlatform(name);
    const buildPlatform = parsePlatform('linux/amd64');
    const outline = makeOutline(
      dockerfile,
      planOptions(platform, { buildPlatform, platformRequested: true }),
    );
    const configs = new Map(outline.bases.map(base => [base.id, emptyConfig(base.platform)] as const));
    return { platform, graph: makeGraph(outline, configs) };
  });
}

describe('the plans of several platforms', () => {
  it('share the stages that do not look at the target', () => {
    const joined = joinGraphs(
      plan(
        'FROM --platform=$BUILDPLATFORM busybox AS tools\nRUN make tools\nFROM busybox\nCOPY --from=tools /t /t\n',
        'linux/amd64',
        'linux/arm64',
        'linux/arm/v7',
      ),
    );
    assert.deepEqual(
      joined.stages.map(stage => stage.label),
      ['linux/amd64 tools', 'linux/amd64 stage-1', 'linux/arm64 stage-1', 'linux/arm/v7 stage-1'],
    );
    for (const target of joined.targets) {
      const step = joined.stages[target]?.steps[0];
      assert.deepEqual(step?.kind === 'copy' && step.from, { kind: 'stage', stage: 0 });
    }
    const ids = joined.stages.flatMap(stage => stage.steps.map(step => step.id));
    assert.equal(new Set(ids).size, ids.length);
  });

  it('keep stages apart whose commands see the target', () => {
    const joined = joinGraphs(
      plan(
        'FROM --platform=$BUILDPLATFORM busybox AS cross\nARG TARGETARCH\nRUN make $TARGETARCH\nFROM cross AS more\nRUN more\nFROM scratch\nCOPY --from=more /t /t\n',
        'linux/amd64',
        'linux/arm64',
      ),
    );
    assert.deepEqual(
      joined.stages.map(stage => stage.label),
      [
        ...['linux/amd64 cross', 'linux/amd64 more', 'linux/amd64 stage-2'],
        ...['linux/amd64->linux/arm64 cross', 'linux/amd64->linux/arm64 more', 'linux/arm64 stage-2'],
      ],
    );
  });

  it('of one platform stay as they are', () => {
    const [only] = plan('FROM busybox AS a\nRUN x\n', 'linux/amd64');
    assert.deepEqual(joinGraphs(only ? [only] : []).stages, only?.graph.stages);
  });
});

describe('commands of another architecture', () => {
  const foreign = hostPlatform().architecture === 's390x' ? 'linux/amd64' : 'linux/s390x';
  const text = 'FROM busybox\nRUN first\n';
  const stages = joinGraphs(plan(text, foreign)).stages;

  it('are refused with their place and how to enable them', async () => {
    const asked: string[] = [];
    const canRun = async (platform: Parameters<typeof formatPlatform>[0]) => {
      asked.push(formatPlatform(platform));
      return false;
    };
    await assert.rejects(refuseForeignRuns(stages, canRun), (error: Error & { hint?: string }) => {
      assert.match(error.message, /RUN for linux\/s390x cannot be carried out/);
      assert.match(error.hint ?? '', /binfmt --install s390x/);
      return true;
    });
    assert.deepEqual(asked, ['linux/s390x']);
  });

  it('are let through where they run, and nothing is tried without a RUN', async () => {
    await refuseForeignRuns(stages, async () => true);
    await refuseForeignRuns(joinGraphs(plan('FROM busybox\nCOPY x x\n', foreign)).stages, () =>
      Promise.reject(new Error('tried')),
    );
  });
});
