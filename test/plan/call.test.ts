// --call outline and targets.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyConfig } from '../../src/image/config.ts';
import {
  describeOutline,
  formatOutline,
  formatTargets,
  listTargets,
  type OutlineCall,
} from '../../src/plan/call.ts';
import { outlineOf } from './planning.ts';

const text = `# V is the version
ARG V=1
ARG W=$V-x
ARG UNUSED=1
# base does it
FROM scratch AS base
# Z does z
ARG Z=1 Y W TARGETARCH
RUN --mount=type=secret,id=foo,required=true --mount=type=ssh --mount=type=secret,target=/x/bar,env=E echo
FROM scratch AS apart
ARG APART
# last one
FROM base
ARG U
ARG V
COPY --from=base $Z /
`;

function linesOf(entries: OutlineCall['secrets']): (number | undefined)[] | undefined {
  return entries?.map(({ location }) => location.ranges[0]?.start.line);
}

describe('--call outline', () => {
  const outline = outlineOf(text, { buildArgs: new Map([['U', '9']]) });

  it('lists what the target and the stages below use', () => {
    assert.equal(
      formatOutline(describeOutline(outline)),
      [
        'BUILD ARG   VALUE   DESCRIPTION',
        'V           1       is the version',
        'W           1-x',
        'Z           1       does z',
        'Y',
        'U           9',
        '',
        'SECRET   REQUIRED',
        'foo      true',
        'bar',
        '',
        'SSH       REQUIRED',
        'default',
        '',
      ].join('\n'),
    );
  });

  it('gives places and the file as JSON', () => {
    const json = describeOutline(outline);
    assert.deepEqual(json.secrets?.[0], {
      name: 'foo',
      required: true,
      location: { ranges: [{ start: { line: 9 }, end: { line: 9 } }] },
    });
    assert.equal(Buffer.from(json.sources[0] ?? '', 'base64').toString(), text);
  });

  it('gives the last place of an arg that is declared again, and its value there', () => {
    const again = outlineOf('ARG G=1\nFROM scratch AS a\nARG A=1 B=1\nFROM a\nARG A=${A}2\nARG B\nARG G\n');
    assert.deepEqual(
      describeOutline(again).args?.map(({ name, value, location }) => [
        name,
        value,
        location.ranges[0]?.start.line,
      ]),
      [
        ['G', '1', 1],
        ['A', '12', 5],
        ['B', undefined, 6],
      ],
    );
  });

  it('gives FROM as the place of what ONBUILD triggers ask for', () => {
    const trigger = 'RUN --mount=type=secret,id=s true';
    const file = `FROM scratch AS a\nONBUILD ARG X=1\nONBUILD ${trigger}\nFROM a AS b\nFROM b\nRUN --mount=type=ssh true\n`;
    const inFile = describeOutline(outlineOf(file));
    assert.deepEqual([inFile.args, inFile.secrets, inFile.ssh].map(linesOf), [[4], [4], [6]]);

    const onImage = outlineOf('# a comment\n\nFROM image\n');
    const image = emptyConfig({ os: 'linux', architecture: 'amd64' });
    const OnBuild = ['ARG X=1', trigger];
    const configs = new Map(
      onImage.bases.map(({ id }) => [id, { ...image, config: { ...image.config, OnBuild } }]),
    );
    const inImage = describeOutline(onImage, configs);
    assert.deepEqual([inImage.args, inImage.secrets].map(linesOf), [[3], [3]]);
  });

  it('gives no value to an arg before FROM that has none, and the last place of a secret', () => {
    const mount = (required: boolean) => `RUN --mount=type=secret,id=s,required=${required} true\n`;
    const call = describeOutline(
      outlineOf(
        `ARG BUILDPLATFORM\nFROM scratch AS a\nARG BUILDPLATFORM\n${mount(true)}FROM a\n${mount(false)}`,
      ),
    );
    assert.deepEqual(
      call.args?.map(({ name, value }) => [name, value]),
      [['BUILDPLATFORM', undefined]],
    );
    assert.deepEqual(linesOf(call.secrets), [6]);
    assert.equal(call.secrets?.[0]?.required, true);
  });

  it('names the target and its description', () => {
    const described = describeOutline(outlineOf(text, { target: 'base' }));
    assert.equal(described.name, 'base');
    assert.equal(described.description, 'does it');
  });

  it('needs no images', () => {
    assert.equal(describeOutline(outlineOf('FROM nowhere\nARG A=1')).args?.[0]?.name, 'A');
  });
});

describe('--call targets', () => {
  it('lists the stages with their descriptions', () => {
    const { dockerfile } = outlineOf(text);
    assert.equal(
      formatTargets(listTargets(dockerfile)),
      'TARGET      DESCRIPTION\nbase        does it\napart\n(default)\n',
    );
    assert.equal(listTargets(dockerfile).targets[2]?.base, 'base');
  });
});
