// Whatever a file holds, reading it ends, and with diagnostics rather than an exception.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Dockerfile } from '../../src/dockerfile/instructions.ts';
import { KEYWORDS } from '../../src/dockerfile/keywords.ts';
import { parseDockerfile, parseTrigger } from '../../src/dockerfile/parse.ts';
import { resolveMount } from '../../src/dockerfile/resolve-mount.ts';
import {
  expandHeredoc,
  expandWord,
  expandWords,
  MAX_EXPANSION,
  WordError,
} from '../../src/dockerfile/words.ts';
import type { SourceRange } from '../../src/errors.ts';

const fragments = [
  ...KEYWORDS,
  ...[
    'onbuild',
    'AS',
    ' ',
    '  ',
    '\t',
    '\n',
    '\r\n',
    '\\\n',
    '`\n',
    '\\',
    '`',
    '#',
    '# ',
    '# escape=`\n',
    '# check=',
  ],
  ...[
    '<<',
    '<<-',
    '<<EOF',
    '\nEOF\n',
    'EOF',
    '"',
    "'",
    '["',
    '"]',
    '[',
    ']',
    ',',
    '=',
    '--',
    '--from=',
    '--mount=',
  ],
  ...[
    'type=cache',
    'target=',
    '$',
    '${',
    '}',
    ':-',
    '#*',
    '%',
    '/',
    '//',
    ':',
    '?',
    '*',
    'a',
    'foo',
    '1',
    '\ufeff',
  ],
  ...[
    '\0',
    '\u2028',
    '\u00a0',
    'é',
    '😀',
    '\ud83d',
    '{',
    '(',
    '|',
    ';',
    '\\x',
    'NONE',
    'CMD',
    'scratch',
    '--interval=1s',
  ],
];
const texts = fc.array(fc.constantFrom(...fragments), { maxLength: 60 }).map(parts => parts.join(''));
const files = fc.oneof(
  texts,
  texts.map(text => `FROM scratch\n${text}`),
  fc
    .tuple(fc.constantFrom(...KEYWORDS), texts)
    .map(([keyword, text]) => `FROM scratch\n${keyword} ${text}\n`),
  fc.string({ unit: 'binary', maxLength: 200 }),
);
const env = new Map([
  ['foo', 'a*b/c'],
  ['a', ''],
]);

function parse(text: string): Dockerfile {
  return parseDockerfile({ name: 'Dockerfile', text });
}

function assertInside(text: string, range: SourceRange | undefined): void {
  const lines = text.split('\n');
  assert.ok(range !== undefined);
  for (const { line, column } of [range.start, range.end]) {
    assert.ok(line >= 1 && line <= lines.length, `line ${line} of ${lines.length}`);
    assert.ok(column >= 0 && column <= (lines[line - 1] ?? '').length, `column ${column} of line ${line}`);
  }
  const { start, end } = range;
  assert.ok(start.line < end.line || (start.line === end.line && start.column <= end.column));
}

describe('any text', () => {
  it('is read into stages and diagnostics that lie in it', () => {
    fc.assert(
      fc.property(files, text => {
        const { stages, diagnostics } = parse(text);
        for (const { range } of diagnostics) assertInside(text, range);
        for (const { from, instructions } of stages) {
          for (const { range } of [from, ...instructions]) assertInside(text, range);
        }
        if (stages.length === 0) assert.ok(diagnostics.some(({ severity }) => severity === 'error'));
      }),
      { numRuns: 2000 },
    );
  });

  it('is read to the same stages twice', () => {
    fc.assert(
      fc.property(files, text => assert.deepEqual(parse(text), parse(text))),
      { numRuns: 200 },
    );
  });

  it('reads the same with CRLF, except for heredoc bodies', () => {
    fc.assert(
      fc.property(files, text => {
        fc.pre(!text.includes('\r') && !text.includes('<<'));
        const rules = (source: string) =>
          parse(source).diagnostics.map(({ rule, severity }) => [rule, severity]);
        assert.deepEqual(rules(text.replaceAll('\n', '\r\n')), rules(text));
      }),
      { numRuns: 500 },
    );
  });

  it('is a trigger or a reason why not', () => {
    fc.assert(
      fc.property(texts, text => {
        const { instruction, diagnostics } = parseTrigger(text, { name: 'base', text });
        const failed = diagnostics.some(({ severity }) => severity === 'error');
        assert.equal(instruction === undefined, failed);
      }),
      { numRuns: 500 },
    );
  });

  it('expands to a value within the limit or fails as a word', () => {
    const expanders = [
      (raw: string) => expandWord(raw, env, '\\').value,
      (raw: string) => expandWord(raw, env, '`').value,
      (raw: string) => expandWords(raw, env, '\\').words.join(''),
      (raw: string) => expandHeredoc(raw, env).value,
    ];
    fc.assert(
      fc.property(texts, fc.constantFrom(...expanders), (raw, expand) => {
        try {
          assert.ok(expand(raw).length <= MAX_EXPANSION);
        } catch (error) {
          assert.ok(error instanceof WordError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is a mount or a reason why not', () => {
    const parts = [
      'type=',
      'cache',
      'tmpfs',
      'secret',
      'ssh',
      'bind',
      ',',
      'target=',
      '/x',
      '..',
      'size=1m',
      'ro',
      '=',
    ];
    const flags = fc.array(fc.constantFrom(...parts, '"', '$foo', '${', 'id=a', 'env=b', 'mode=7'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(flags, found => {
        const { stages, diagnostics } = parse(`FROM scratch\nRUN --mount=${found.join('')} x\n`);
        const run = stages[0]?.instructions[0];
        if (run?.kind !== 'run' || run.mounts[0] === undefined) return assert.ok(diagnostics.length > 0);
        const expand = (raw: string) => expandWord(raw, env, '\\').value;
        const result = resolveMount(run.mounts[0], expand, { workdir: '/w' });
        if ('mount' in result) assert.notEqual(result.mount.target, '/');
      }),
      { numRuns: 1000 },
    );
  });
});

/** Families of large inputs; a quadratic step anywhere would take minutes. */
const families: Record<string, string> = {
  'one character': 'a'.repeat(1_000_000),
  'line feeds': '\n'.repeat(1_000_000),
  'lone escapes': '\\\n'.repeat(500_000),
  continuations: `RUN a ${'\\\n b '.repeat(250_000)}`,
  'continuations with comments': `RUN a \\\n${'# c\n'.repeat(250_000)}b`,
  'empty continuations': `${'RUN a \\\n\n b\n'.repeat(80_000)}`,
  instructions: 'RUN a\n'.repeat(150_000),
  stages: 'FROM scratch AS a\n'.repeat(50_000),
  args: 'ARG A=1\n'.repeat(120_000),
  'unknown instructions': 'x\n'.repeat(500_000),
  quotes: `LABEL a=${'"\'\\\n'.repeat(200_000)}`,
  pairs: `LABEL ${'a=b \\\n'.repeat(150_000)}`,
  flags: `COPY ${'--exclude=a \\\n'.repeat(70_000)}a b`,
  'unknown flags': `COPY ${'--x \\\n'.repeat(150_000)}a b`,
  mounts: `RUN ${'--mount=target=/a \\\n'.repeat(50_000)}x`,
  'mount fields': `RUN --mount=target=/a${',\\\nro'.repeat(200_000)} x`,
  'wrong mount fields': `RUN --mount=target=/a${',\\\nxxxxx'.repeat(120_000)} x`,
  'heredocs in one line': `RUN ${'<<A \\\n'.repeat(150_000)}\nA\n`,
  'heredoc marks': `RUN <<${'<'.repeat(60_000)}${'\\\n<<'.repeat(200_000)}`,
  heredocs: 'RUN <<A\nA\n'.repeat(90_000),
  'a long heredoc': `RUN <<A\n${'x\n'.repeat(450_000)}A\n`,
  'an unterminated heredoc': `RUN <<A\n${'\t\t\t\n'.repeat(250_000)}`,
  'nested JSON': `CMD ${'[\\\n'.repeat(300_000)}`,
  'a long JSON list': `CMD ["a"${', \\\n"b"'.repeat(120_000)}]`,
  'broken JSON': `CMD ["${'\\\\\\\n'.repeat(200_000)}`,
  dollars: `ENV a=${'$\\\n'.repeat(300_000)}`,
  onbuild: `${'ONBUILD '.repeat(8_000)}\n`.repeat(10),
  'check options': `# check=${'skip=a;'.repeat(9_000)}\nRUN a\n`,
  directives: '# syntax=a\n'.repeat(90_000),
  comments: '# check=skip=a\n'.repeat(60_000),
  blanks: `RUN ${`${' \t'.repeat(30_000)}\\\n`.repeat(15)}`,
  'no-break spaces': `USER ${`${'\u00a0'.repeat(20_000)}\\\n`.repeat(25)}`,
  healthcheck: `HEALTHCHECK --interval=${'1h'.repeat(30_000)} CMD x`,
  'a long word': `${'x\\\n'.repeat(300_000)}`,
};

describe('a megabyte', () => {
  for (const [name, text] of Object.entries(families)) {
    it(`of ${name} is read to its end`, { timeout: 60_000 }, () => {
      const { stages, diagnostics } = parse(`FROM scratch\n${text}`);
      assert.ok(stages.length > 0);
      for (const diagnostic of diagnostics.slice(0, 3)) assert.ok(diagnostic.message.length < 2000);
    });
  }

  const words: Record<string, string> = {
    'nested defaults': '${a:-'.repeat(200_000),
    'closed nested defaults': `${'${x:-'.repeat(100)}${'}'.repeat(100)}`.repeat(1000),
    quotes: '"\''.repeat(500_000),
    escapes: '\\'.repeat(1_000_000),
    variables: '$foo'.repeat(200_000),
    'unset variables': '$x'.repeat(500_000),
    names: `$${'x'.repeat(1_000_000)}`,
    patterns: `\${foo#${'*a'.repeat(400_000)}}`,
    replacements: '${foo//?/$foo}'.repeat(60_000),
    blanks: ' '.repeat(1_000_000),
    angles: '< '.repeat(500_000),
  };
  for (const [name, text] of Object.entries(words)) {
    it(`of ${name} is expanded or refused`, { timeout: 60_000 }, () => {
      for (const expand of [() => expandWord(text, env, '\\'), () => expandWords(text, env, '\\')]) {
        try {
          expand();
        } catch (error) {
          assert.ok(error instanceof WordError, String(error));
        }
      }
    });
  }
});
