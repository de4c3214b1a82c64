// Stages, targets, reach and the images asked for.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NamedContext, PlanOptions } from '../../src/plan/options.ts';
import { baseHint } from '../../src/plan/outline.ts';
import { missingBases } from '../../src/plan/reach.ts';
import { configsFor, errorOf, graphOf, outlineOf, targetOf } from './planning.ts';

const three = 'FROM busybox AS one\nFROM debian AS two\nCOPY --from=one /a /b\nFROM alpine AS three\n';

describe('the target', () => {
  it('is the last stage', () => assert.equal(targetOf(three).label, 'three'));
  it('may be a name in any case', () => assert.equal(targetOf(three, { target: 'TWO' }).label, 'two'));
  it('may be an index', () => assert.equal(targetOf(three, { target: '0' }).label, 'one'));
  it('that is missing gives an error with a suggestion', () => {
    const error = errorOf(three, { target: 'tow' });
    assert.equal(error.code, 'not-found');
    assert.equal(error.message, 'target stage "tow" could not be found');
    assert.equal(error.hint, 'did you mean two?');
  });
  it('shows in TARGETSTAGE, as default when it has no name', () => {
    const stage = 'FROM scratch AS a\nARG TARGETSTAGE\nLABEL t=$TARGETSTAGE\n';
    assert.deepEqual(targetOf(stage, { target: 'A' }).config.config.Labels, { t: 'A' });
    assert.deepEqual(targetOf(stage, { target: '0' }).config.config.Labels, { t: 'a' });
    const nameless = 'FROM scratch\nARG TARGETSTAGE\nLABEL t=$TARGETSTAGE\n';
    assert.deepEqual(targetOf(nameless).config.config.Labels, { t: 'default' });
  });
});

describe('the images asked for', () => {
  const asked = (text: string, options: Partial<PlanOptions> = {}) =>
    outlineOf(text, options).bases.map(base => base.id.split('|')[0]);

  it('are those of the stages that the target needs', () => {
    assert.deepEqual(asked(three, { target: 'two' }), [
      'docker.io/library/busybox:latest',
      'docker.io/library/debian:latest',
    ]);
    assert.deepEqual(asked(three), ['docker.io/library/alpine:latest']);
  });
  it('are all of them when unused stages are kept', () => {
    assert.equal(asked(three, { keepUnused: true }).length, 3);
  });
  it('are each asked for once, however they are spelt', () => {
    const text =
      'FROM busybox AS a\nFROM docker.io/library/busybox:latest\nCOPY --from=a / /\nCOPY --from=index.docker.io/busybox / /';
    assert.deepEqual(asked(text), ['docker.io/library/busybox:latest']);
  });
  it('are asked for per platform', () => {
    const text = 'FROM --platform=linux/arm64 busybox AS a\nFROM busybox\nCOPY --from=a / /';
    assert.deepEqual(
      outlineOf(text).bases.map(base => base.id),
      [
        'docker.io/library/busybox:latest|linux/amd64',
        'docker.io/library/busybox:latest|linux/arm64',
      ].reverse(),
    );
  });
  it('may be archives and layouts', () => {
    assert.deepEqual(asked('FROM oci-archive:x.tar'), ['oci-archive:x.tar']);
  });
  it('come from ONBUILD triggers too, and these may reach stages that nothing else needs', () => {
    const outline = outlineOf('FROM scratch AS helper\nCOPY h /h\nFROM onbuild');
    assert.deepEqual(outline.reach, [1]);
    const configs = configsFor(outline);
    assert.ok(configs.has('docker.io/library/alpine:3|linux/amd64'));
    assert.deepEqual(missingBases(outline, configs), []);
    const graph = graphOf('FROM scratch AS helper\nCOPY h /h\nFROM onbuild');
    assert.deepEqual(
      graph.stages.map(stage => stage.index),
      [0, 1],
    );
  });
});

describe('a name in --from', () => {
  it('may be a stage that comes later', () => {
    const graph = graphOf('FROM scratch AS a\nCOPY --from=b /x /\nFROM scratch AS b\n', { target: 'a' });
    assert.deepEqual(
      graph.stages.map(stage => stage.label),
      ['b', 'a'],
    );
  });
  it('is the last of several stages with that name', () => {
    const text = 'FROM scratch AS x\nFROM scratch AS x\nFROM scratch\nCOPY --from=x /a /';
    const [step] = targetOf(text).steps;
    assert.deepEqual(step?.kind === 'copy' && step.from, { kind: 'stage', stage: 1 });
  });
  it('as a number is an index of a stage in COPY and a name in a mount', () => {
    assert.match(errorOf('FROM scratch\nCOPY --from=4 /a /').message, /invalid stage index 4/);
    const [step] = targetOf('FROM scratch\nRUN --mount=from=0,target=/m x').steps;
    assert.deepEqual(step?.kind === 'run' && step.mounts[0]?.type === 'bind' && step.mounts[0].from, {
      kind: 'image',
      base: 'docker.io/library/0:latest|linux/amd64',
    });
  });
  it('that is empty is the build context', () => {
    const [step] = targetOf('FROM scratch\nCOPY --from= a /').steps;
    assert.deepEqual(step?.kind === 'copy' && step.from, { kind: 'context' });
  });
  it('can be scratch', () => {
    const [step] = targetOf('FROM scratch\nCOPY --from=scratch / /').steps;
    assert.deepEqual(step?.kind === 'copy' && step.from, { kind: 'scratch' });
  });
});

describe('stages that wait for each other', () => {
  it('are refused before anything else, also where the target does not need them', () => {
    const text = 'FROM scratch AS a\nCOPY --from=b / /\nFROM a AS b\nFROM scratch';
    const error = errorOf(text);
    assert.equal(error.message, 'stages wait for each other: a needs b needs a');
    assert.equal(error.range?.start.line, 3);
  });
  it('are found in a chain of thousands', () => {
    const n = 5000;
    const stages = Array.from({ length: n }, (_, i) => `FROM ${i === 0 ? 'scratch' : `s${i - 1}`} AS s${i}`);
    assert.equal(outlineOf(stages.join('\n')).reach.length, n);
    const [, ...others] = stages;
    const error = errorOf(['FROM scratch AS s0', `COPY --from=s${n - 1} / /`, ...others].join('\n'));
    assert.match(error.message, /^stages wait for each other: s0 needs s4999 needs s4998/);
  });
});

describe('a named context', () => {
  const directory: NamedContext = { kind: 'directory' };
  const originWith = (text: string, name: string, context: NamedContext) =>
    targetOf(text, { namedContexts: new Map([[name, context]]) }).origin;

  for (const name of ['alpine', 'alpine:latest', 'docker.io/library/alpine', 'library/alpine']) {
    it(`called ${name} stands for FROM alpine`, () => {
      // Its files are copied into an empty stage.
      const { origin, steps } = targetOf('FROM alpine', { namedContexts: new Map([[name, directory]]) });
      assert.deepEqual(origin, { kind: 'scratch' });
      assert.deepEqual(
        steps.map(step => step.kind === 'copy' && [step.from, step.dest]),
        [[{ kind: 'context', name }, '/']],
      );
    });
  }
  it('of another tag or for another platform does not', () => {
    const image = { kind: 'image', base: 'docker.io/library/alpine:latest|linux/amd64' };
    assert.deepEqual(originWith('FROM alpine', 'alpine:3.20', directory), image);
    assert.deepEqual(originWith('FROM alpine', 'alpine::linux/arm64', directory), image);
  });
  it('replaces a stage of that name with all its instructions', () => {
    const options = { namedContexts: new Map([['dep', { kind: 'image', reference: 'other:2' } as const]]) };
    const graph = graphOf('FROM missing AS dep\nRUN never\nFROM dep\nCOPY --from=dep /a /', options);
    assert.deepEqual(graph.stages[0]?.steps, []);
    assert.deepEqual(graph.stages[0]?.origin, {
      kind: 'image',
      base: 'docker.io/library/other:2|linux/amd64',
    });
  });
  it('can not replace scratch', () => {
    assert.deepEqual(originWith('FROM scratch', 'scratch', directory), { kind: 'scratch' });
  });
  it('for a stage that is not there is an error', () => {
    const namedContexts = new Map([['x', { kind: 'target', stage: 'bulid' } as const]]);
    const error = errorOf('FROM scratch AS build\nCOPY --from=x / /', { namedContexts });
    assert.equal(error.hint, 'did you mean build?');
  });
});

describe('what is wrong', () => {
  it('in several FROM lines is reported at once', () => {
    const error = errorOf('ARG TAG=1\nFROM $TGA\nFROM Busy\n');
    assert.match(error.hint ?? '', /did you mean TAG/);
    assert.equal(error.diagnostics.length, 1);
    assert.equal(error.diagnostics[0]?.range?.start.line, 3);
  });
  it('in several instructions is reported at once, with places', () => {
    const error = errorOf('FROM scratch\nSTOPSIGNAL X\nEXPOSE no\nCOPY --chmod=8 a /\n');
    assert.deepEqual(
      [error.range, ...error.diagnostics.map(d => d.range)].map(range => range?.start.line),
      [2, 3, 4],
    );
  });
  it('is reported up to a bound', () => {
    const error = errorOf(`FROM scratch\n${'EXPOSE x\n'.repeat(1000)}`);
    assert.ok(error.diagnostics.length < 100);
  });
  it('in a trigger of the image is said at FROM', () => {
    const outline = outlineOf('FROM busybox');
    const [[id, config] = assert.fail()] = configsFor(outline);
    const broken = { ...config, config: { OnBuild: ['COPPY a b'] } };
    assert.throws(() => missingBases(outline, new Map([[id, broken]])), {
      code: 'dockerfile',
      message: /an ONBUILD trigger of busybox is broken/,
    });
  });
  it('does not take minutes when a file sets more than anybody would', () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `ENV v${i}=1`);
    assert.match(errorOf(`FROM scratch\n${lines.join('\n')}`).message, /sets too much/);
  });
});

describe('build arguments', () => {
  const warningsFor = (text: string, ...names: string[]) =>
    graphOf(text, { buildArgs: new Map(names.map(name => [name, '1'])) }).warnings;

  it('that no ARG declares are warned about, with a suggestion', () => {
    const [warning] = warningsFor('FROM scratch\nARG VERSION', 'VERSOIN');
    assert.equal(warning?.message, 'the build argument VERSOIN is not declared by any ARG');
    assert.equal(warning?.hint, 'did you mean VERSION?');
  });
  it('that are declared anywhere, or that the build knows, are not', () => {
    const text = 'ARG A\nFROM scratch AS unused\nARG B\nFROM scratch\nONBUILD ARG C\n';
    const known = [
      'A',
      'B',
      'C',
      'HTTP_PROXY',
      'no_proxy',
      'TARGETARCH',
      'BUILDKIT_CACHE_MOUNT_NS',
      'SOURCE_DATE_EPOCH',
    ];
    assert.deepEqual(warningsFor(text, ...known), []);
  });
  it('that ask for what is not done here are told so', () => {
    const [name, scan] = warningsFor('FROM scratch', 'BUILDKIT_BUILD_NAME', 'BUILDKIT_SBOM_SCAN_STAGE');
    assert.match(name?.message ?? '', /BUILDKIT_BUILD_NAME has no effect: builds have no names/);
    assert.match(scan?.message ?? '', /BUILDKIT_SBOM_SCAN_STAGE has no effect/);
    assert.deepEqual(warningsFor('FROM scratch', 'BUILDKIT_INLINE_CACHE'), []);
    const off = { buildArgs: new Map([['BUILDKIT_SBOM_SCAN_STAGE', '0']]) };
    assert.deepEqual(graphOf('FROM scratch', off).warnings, []);
  });
  it('that nearly steer the build are warned about', () => {
    const [warning] = warningsFor('FROM scratch', 'BUILDKIT_SANBOX_HOSTNAME');
    assert.equal(warning?.hint, 'did you mean BUILDKIT_SANDBOX_HOSTNAME?');
  });
  it('name the host of RUN, when a machine could be called so', () => {
    const runWith = (name: string) =>
      targetOf('FROM scratch\nRUN x', { buildArgs: new Map([['BUILDKIT_SANDBOX_HOSTNAME', name]]) }).steps[0];
    const step = runWith('box-1');
    assert.equal(step?.kind === 'run' && step.hostname, 'box-1');
    assert.throws(() => runWith('a b'), { code: 'usage', message: /is not a host name/ });
  });
});

describe('the platform', () => {
  const arm = { os: 'linux', architecture: 'arm64' };
  it('of scratch and of nameless images is the target', () => {
    assert.deepEqual(targetOf('FROM --platform=linux/s390x scratch', { platform: arm }).platform, arm);
  });
  it('of a stage on a stage is the one of the stage below', () => {
    const text = 'FROM --platform=linux/arm64 busybox AS a\nFROM --platform=linux/s390x a';
    assert.deepEqual(targetOf(text).platform, arm);
  });
  it('in the config is what was asked for, or else what the image says', () => {
    const text = 'FROM --platform=linux/s390x busybox';
    assert.equal(targetOf(text).config.platform.architecture, 's390x');
    const asked = { platform: arm, platformRequested: true };
    assert.equal(targetOf(text, asked).config.platform.architecture, 'arm64');
  });
});

describe('a hint for an image that is not found', () => {
  it('names a stage or a well-known image', () => {
    const outline = outlineOf('FROM scratch AS builder\nFROM scratch');
    assert.equal(baseHint('bulider', outline), 'did you mean builder?');
    assert.equal(baseHint('ubunut:24.04', outline), 'did you mean ubuntu?');
    assert.equal(baseHint('ubuntu', outline), undefined);
  });
});

describe('SOURCE_DATE_EPOCH', () => {
  it('comes from a build argument before the file', () => {
    const text = 'ARG SOURCE_DATE_EPOCH=5\nFROM scratch';
    assert.equal(outlineOf(text).sourceDateEpoch, 5);
    assert.equal(outlineOf(text, { buildArgs: new Map([['SOURCE_DATE_EPOCH', '7']]) }).sourceDateEpoch, 7);
  });
  it('must be a number or a name', () => {
    const of = (value: string, more = '') =>
      errorOf(`ARG SOURCE_DATE_EPOCH=${value}\nFROM scratch AS src\n${more}FROM scratch`);
    assert.match(of('today').message, /must be a number of seconds since 1970 or a name, not "today"/);
    assert.equal(of('contxt').hint, 'did you mean context?');
    assert.equal(of('srcs').hint, 'did you mean src?');
    assert.equal(of('99999999999999').code, 'dockerfile');
  });
  it('has no number yet while it is a name, and none at all when nothing has a date', () => {
    const text = 'ARG SOURCE_DATE_EPOCH=context\nFROM scratch\nARG SOURCE_DATE_EPOCH';
    assert.equal(outlineOf(text).sourceDateEpoch, undefined);
    assert.equal(outlineOf(text).globals.values.get('SOURCE_DATE_EPOCH'), 'context');
    assert.equal(outlineOf(text, { undated: true }).globals.values.has('SOURCE_DATE_EPOCH'), false);
  });
  it('names a stage that is one remote ADD and nothing else', () => {
    const problem = (stage: string) =>
      errorOf(`ARG SOURCE_DATE_EPOCH=SRC\nARG BASE=scratch\n${stage}\nFROM scratch`).message;
    assert.equal(
      outlineOf(
        'ARG SOURCE_DATE_EPOCH=SRC\nFROM scratch AS src\nARG V=1\nADD https://example.com/$V /\nFROM scratch',
      ).sourceDateEpoch,
      undefined,
    );
    const url = 'ADD https://example.com/x /';
    assert.match(problem(`FROM busybox AS src\n${url}`), /"src", which starts from busybox/);
    assert.match(problem(`FROM $BASE AS src\n${url}\nCOPY a /`), /"src", which has COPY/);
    assert.match(problem(`FROM scratch AS src\n${url}\n${url}`), /which has a second ADD/);
    assert.match(problem(`FROM scratch AS src\nADD https://a/b https://a/c /`), /which adds several sources/);
    assert.match(problem('FROM scratch AS src\nADD file /'), /which adds what is not remote/);
    assert.match(problem('FROM scratch AS src'), /which has no ADD/);
  });
});
