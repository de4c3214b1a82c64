// The checks: each fires on its bad example and is silent on its good one; how they are switched off and on.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Dockerfile } from '../../src/dockerfile/instructions.ts';
import { rules } from '../../src/dockerfile/lint/rules.ts';
import { lintDockerfile, lintError } from '../../src/dockerfile/lint/run.ts';
import type { LintContext } from '../../src/dockerfile/lint/subject.ts';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';

/** What a build would know about the examples. */
const known: LintContext = {
  ignoredSource: path => path === 'ignored.txt',
  bases: new Map([
    [
      0,
      {
        env: ['PATH=/bin', 'FROM_IMAGE=1'],
        platform: { os: 'linux', architecture: 'arm64' },
        expectedPlatform: { os: 'linux', architecture: 'amd64' },
      },
    ],
  ]),
};

function parse(text: string): Dockerfile {
  const dockerfile = parseDockerfile({ name: 'Dockerfile', text });
  assert.deepEqual(
    dockerfile.diagnostics.filter(d => d.severity === 'error'),
    [],
  );
  return dockerfile;
}

/** `line rule: message` of each finding. */
function lint(text: string, context: LintContext = {}): string[] {
  return lintDockerfile(parse(text), context).map(
    ({ rule, message, range }) => `${range?.start.line} ${rule}: ${message}`,
  );
}

/** The same of one rule alone. */
function only(rule: string, text: string, context: LintContext = {}): string[] {
  return lint(text, context).filter(finding => finding.includes(` ${rule}: `));
}

describe('the checks', () => {
  it('are the 22 of BuildKit', () => assert.equal(new Set(rules.map(rule => rule.name)).size, 22));

  for (const { name, bad, good, url } of rules) {
    const context = (text: string): LintContext =>
      text.includes('busybox') || name === 'CopyIgnoredFile' ? known : {};
    it(`fire: ${name}`, () => assert.notDeepEqual(only(name, bad, context(bad)), []));
    it(`are silent: ${name}`, () => assert.deepEqual(only(name, good, context(good)), []));
    it(`have their page: ${name}`, () => {
      if (name === 'InvalidBaseImagePlatform') assert.equal(url, undefined);
      else
        assert.match(url ?? '', /^https:\/\/docs\.docker\.com\/go\/dockerfile\/rule\/[a-z]+(?:-[a-z]+)*\/$/);
    });
  }

  it('have names in kebab case in their address', () => {
    const url = (name: string) => rules.find(rule => rule.name === name)?.url;
    assert.match(url('JSONArgsRecommended') ?? '', /\/json-args-recommended\/$/);
    assert.match(url('SecretsUsedInArgOrEnv') ?? '', /\/secrets-used-in-arg-or-env\/$/);
  });
});

describe('a finding says', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['StageNameCasing', 'FROM scratch AS Foo', "1 StageNameCasing: Stage name 'Foo' should be lowercase"],
    ['FromAsCasing', 'FROM scratch as a', "1 FromAsCasing: 'as' and 'FROM' keywords' casing do not match"],
    ['FromAsCasing', 'from scratch AS a', "1 FromAsCasing: 'AS' and 'from' keywords' casing do not match"],
    ['NoEmptyContinuation', 'FROM scratch\nRUN a \\\n\n b', '3 NoEmptyContinuation: Empty continuation line'],
    [
      'ConsistentInstructionCasing',
      'FROM scratch\nRun a',
      "2 ConsistentInstructionCasing: Command 'Run' should match the case of the command majority (uppercase)",
    ],
    [
      'ConsistentInstructionCasing',
      'from scratch\nrun a\nRUN b',
      "3 ConsistentInstructionCasing: Command 'RUN' should match the case of the command majority (lowercase)",
    ],
    [
      'DuplicateStageName',
      'FROM scratch AS a\nFROM scratch AS A',
      '2 DuplicateStageName: Duplicate stage name "a", stage names should be unique',
    ],
    [
      'JSONArgsRecommended',
      'FROM scratch\nENTRYPOINT a',
      '2 JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals',
    ],
    [
      'UndefinedArgInFrom',
      'ARG foo\nFROM a:$fooo',
      "2 UndefinedArgInFrom: FROM argument 'fooo' is not declared (did you mean foo?)",
    ],
    [
      'UndefinedArgInFrom',
      'FROM --platform=linux/$TARGETARCHI a',
      "1 UndefinedArgInFrom: FROM argument 'TARGETARCHI' is not declared (did you mean TARGETARCH?)",
    ],
    [
      'WorkdirRelativePath',
      'FROM scratch\nWORKDIR a\nWORKDIR b',
      '2 WorkdirRelativePath: Relative workdir "a" can have unexpected results if the base image changes',
    ],
    ['UndefinedVar', 'FROM scratch\nCOPY $foo /', "2 UndefinedVar: Usage of undefined variable '$foo'"],
    [
      'UndefinedVar',
      'FROM scratch\nENV A=${NEVER:-x}',
      "2 UndefinedVar: Usage of undefined variable '$NEVER'",
    ],
    [
      'UndefinedVar',
      'FROM scratch\nENV A=$PAHT',
      "2 UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?)",
    ],
    [
      'MultipleInstructionsDisallowed',
      'FROM scratch\nCMD ["a"]\nCMD ["b"]',
      '2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used',
    ],
    [
      'LegacyKeyValueFormat',
      'FROM scratch\nLABEL a b',
      '2 LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key value" format',
    ],
    [
      'RedundantTargetPlatform',
      'FROM --platform=${TARGETPLATFORM} a',
      '1 RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior',
    ],
    [
      'SecretsUsedInArgOrEnv',
      'FROM scratch\nARG api_key',
      '2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG "api_key")',
    ],
    [
      'InvalidDefaultArgInFrom',
      'ARG T\nFROM a:$T',
      '2 InvalidDefaultArgInFrom: Default value for ARG a:$T results in empty or invalid base image name',
    ],
    [
      'FromPlatformFlagConstDisallowed',
      'FROM --platform=linux/arm64 a',
      '1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "linux/arm64"',
    ],
    [
      'ExposeProtoCasing',
      'FROM scratch\nEXPOSE 1 2/UDP',
      "2 ExposeProtoCasing: Defined protocol '2/UDP' in EXPOSE instruction should be lowercase",
    ],
    [
      'ExposeInvalidFormat',
      'FROM scratch\nEXPOSE 80:81',
      "2 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '80:81'",
    ],
  ];
  for (const [rule, text, expected] of cases) {
    it(expected, () => assert.deepEqual(only(rule, text), [expected]));
  }

  it('which platform came and which was asked for', () => {
    assert.deepEqual(only('InvalidBaseImagePlatform', 'FROM busybox', known), [
      '1 InvalidBaseImagePlatform: Base image busybox was pulled with platform "linux/arm64", expected "linux/amd64" for current build',
    ]);
  });
});

describe('silence', () => {
  const silent: readonly (readonly [string, string, string, LintContext?])[] = [
    ['a mixed From is no matter of its AS', 'FromAsCasing', 'From scratch as a'],
    ['a stage that sets SHELL may use it', 'JSONArgsRecommended', 'FROM scratch\nSHELL ["/x"]\nCMD a'],
    ['so may a stage on it', 'JSONArgsRecommended', 'FROM scratch AS a\nSHELL ["/x"]\nFROM a\nCMD a'],
    [
      'and one whose image has a SHELL',
      'JSONArgsRecommended',
      'FROM busybox\nCMD a',
      { bases: new Map([[0, { env: [], shell: ['/x'] }]]) },
    ],
    [
      'a stage below has an absolute WORKDIR',
      'WorkdirRelativePath',
      'FROM scratch AS a\nWORKDIR /x\nFROM a\nWORKDIR y',
    ],
    ['a variable makes the WORKDIR absolute', 'WorkdirRelativePath', 'FROM scratch\nARG D=/x\nWORKDIR $D'],
    ['an ARG without a value is declared', 'UndefinedVar', 'FROM scratch\nARG A\nLABEL a=$A'],
    ['a stage below declares it', 'UndefinedVar', 'FROM scratch AS a\nARG A\nFROM a\nLABEL a=$A'],
    ['the image sets it', 'UndefinedVar', 'FROM busybox\nLABEL a=$FROM_IMAGE', known],
    ['nobody looked what the image sets', 'UndefinedVar', 'FROM busybox\nLABEL a=$MAYBE'],
    ['the shell expands RUN, not the build', 'UndefinedVar', 'FROM scratch\nRUN echo $A\nCMD ["$B"]'],
    ['a quoted heredoc is not expanded', 'UndefinedVar', "FROM scratch\nCOPY <<'E' /\n$A\nE"],
    ['words of one ARG line see the ones before', 'UndefinedVar', 'FROM scratch\nARG A=1 B=$A'],
    [
      'CMD in two stages',
      'MultipleInstructionsDisallowed',
      'FROM scratch AS a\nCMD ["a"]\nFROM a\nCMD ["b"]',
    ],
    [
      'a public key is no secret',
      'SecretsUsedInArgOrEnv',
      'FROM scratch\nARG PUBLIC_KEY KEY_VERSION MONKEY TOKEN_FILE',
    ],
    [
      'the platform is in the name of the stage',
      'FromPlatformFlagConstDisallowed',
      'FROM --platform=linux/arm64 a AS arm64',
    ],
    ['the platform is a variable', 'FromPlatformFlagConstDisallowed', 'FROM --platform=$BUILDPLATFORM a'],
    ['more than the target platform', 'RedundantTargetPlatform', 'FROM --platform=$TARGETOS/$TARGETARCH a'],
    ['it comes from a stage', 'CopyIgnoredFile', 'FROM scratch\nCOPY --from=x ignored.txt /', known],
    ['it comes from the web', 'CopyIgnoredFile', 'FROM scratch\nADD http://ignored.txt /', known],
    [
      'the ignore file has exceptions',
      'CopyIgnoredFile',
      'FROM scratch\nCOPY ignored.txt /',
      { ...known, hasNegatedIgnore: true },
    ],
    ['descriptions are experimental', 'InvalidDefinitionDescription', '# what\nARG A\nFROM scratch'],
    [
      'a check comment is no description',
      'InvalidDefinitionDescription',
      '# check=experimental=all\n\n# check=skip=X\nARG A\nFROM scratch',
    ],
  ];
  for (const [because, rule, text, context] of silent) {
    it(`where ${because}`, () => assert.deepEqual(only(rule, text, context), []));
  }
});

describe('ONBUILD of a stage', () => {
  const text = 'FROM scratch AS base\nONBUILD ENV A=$B C=1\nONBUILD WORKDIR rel\n';
  it('is checked where it fires, and not before', () => {
    assert.deepEqual(lint(text), []);
    assert.deepEqual(lint(`${text}FROM base\n`), [
      "2 UndefinedVar: Usage of undefined variable '$B'",
      '3 WorkdirRelativePath: Relative workdir "rel" can have unexpected results if the base image changes',
    ]);
  });
  it('is checked by every rule that looks at one instruction', () => {
    const trigger = (text: string, child = '') =>
      lint(`FROM scratch AS base\nONBUILD ${text}\nFROM base\n${child}`).map(found => found.split(':')[0]);
    assert.deepEqual(trigger('CMD x'), ['2 JSONArgsRecommended']);
    assert.deepEqual(trigger('ENV k v'), ['2 LegacyKeyValueFormat']);
    assert.deepEqual(trigger('ENV my_secret=1'), ['2 SecretsUsedInArgOrEnv']);
    assert.deepEqual(trigger('EXPOSE 1:2'), ['2 ExposeInvalidFormat']);
    assert.deepEqual(trigger('EXPOSE 1/TCP'), ['2 ExposeProtoCasing']);
    assert.deepEqual(trigger('CMD ["x"]', 'CMD ["y"]\n'), ['2 MultipleInstructionsDisallowed']);
    assert.deepEqual(lint('FROM scratch AS base\n# check=skip=all\nONBUILD CMD x\nFROM base\n'), []);
  });
  it('sets variables of the stage on it', () => {
    assert.deepEqual(lint('FROM scratch AS base\nONBUILD ENV A=1\nFROM base\nENV B=$A\n'), []);
  });
});

describe('an ignored source', () => {
  for (const source of [
    'ignored.txt',
    './ignored.txt',
    '/ignored.txt',
    '../ignored.txt',
    'x/../ignored.txt',
  ]) {
    it(`is found as ${source}`, () => {
      assert.equal(only('CopyIgnoredFile', `FROM scratch\nADD ${source} /`, known).length, 1);
    });
  }
});

describe('checks are switched', () => {
  const bad = 'FROM scratch AS Foo\nMAINTAINER x\n';

  it('off by the directive, one by one or all', () => {
    assert.deepEqual(lint(`# check=skip=StageNameCasing\n${bad}`).length, 1);
    assert.deepEqual(lint(`# check=skip=all\n${bad}`), []);
  });
  it('off by a comment above one instruction', () => {
    const text = 'FROM scratch\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n';
    assert.deepEqual(only('LegacyKeyValueFormat', text).length, 1);
  });
  it('on when they are experimental', () => {
    const text = (name: string) => `# check=experimental=${name}\n\n# what\nARG A\nFROM scratch`;
    assert.equal(lint(text('all')).length, 1);
    assert.equal(lint(text('InvalidDefinitionDescription')).length, 1);
    assert.equal(lint(text('Other')).length, 0);
  });
  it('by a build argument in place of the directive', () => {
    const buildArgs = new Map([['BUILDKIT_DOCKERFILE_CHECK', 'skip=MaintainerDeprecated']]);
    assert.equal(lint(`# check=skip=StageNameCasing\n${bad}`, { buildArgs }).length, 1);
    assert.match(lint(bad, { buildArgs })[0] ?? '', /StageNameCasing/);
    const broken = new Map([['BUILDKIT_DOCKERFILE_CHECK', 'sikp=all']]);
    assert.throws(() => lint(bad, { buildArgs: broken }), { code: 'usage', hint: /skip/ });
  });
  it('for a foreign frontend by the build argument that stands in for the directive', () => {
    const text = '# syntax=example.com/a\nFROM scratch\n';
    const syntax = (value: string) => lint(text, { buildArgs: new Map([['BUILDKIT_SYNTAX', value]]) });
    assert.match(lint(text)[0] ?? '', /^1 foreign-frontend: the frontend "example\.com\/a" is not run/);
    assert.match(
      syntax('example.com/b').join(),
      /^undefined foreign-frontend: the frontend "example\.com\/b"/,
    );
    assert.deepEqual(syntax('docker/dockerfile:1'), []);
  });
  it('into errors that name the rules', () => {
    const dockerfile = parse(`# check=error=true\n${bad}`);
    const error = lintError(dockerfile, lintDockerfile(dockerfile));
    assert.equal(error?.message, 'lint violation found for rules: MaintainerDeprecated, StageNameCasing');
    assert.equal(error?.code, 'dockerfile');
    const plain = parse(bad);
    assert.equal(lintError(plain, lintDockerfile(plain)), undefined);
    const clean = parse('# check=error=true\nFROM scratch\n');
    assert.equal(lintError(clean, lintDockerfile(clean)), undefined);
  });
  it('off for stages that are not built, FROM lines apart', () => {
    const text = 'FROM scratch AS A\nENV a b\nFROM scratch\nENV a b\n';
    const found = lint(text, { stages: new Set([1]) });
    assert.deepEqual(
      found.map(line => line.split(':')[0]),
      ['1 StageNameCasing', '4 LegacyKeyValueFormat'],
    );
  });
});

describe('a hostile file', () => {
  it('of many triggers and many stages on them is checked within bounds', () => {
    const text = `FROM scratch AS a\n${'ONBUILD USER $x\n'.repeat(10_000)}${'FROM a\n'.repeat(40_000)}`;
    assert.ok(lint(text).length > 0);
  });
  it('of many variables is checked within bounds', () => {
    const lines = Array.from({ length: 30_000 }, (_, i) => `ENV v${i}=$w${i}`);
    assert.ok(lint(`FROM scratch\n${lines.join('\n')}`).length > 0);
  });
});
