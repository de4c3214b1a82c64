import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDuration } from '../../src/dockerfile/durations.ts';
import { MAX_ERRORS, parseDockerfile, parseTrigger } from '../../src/dockerfile/parse.ts';
import { MAX_FILE_BYTES, MAX_LINE_BYTES } from '../../src/dockerfile/scan.ts';
import type { Diagnostic } from '../../src/errors.ts';
import { placeOf, projectInstruction } from './projection.ts';

function parse(text: string) {
  return parseDockerfile({ name: 'Dockerfile', text });
}

function findings(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.map(({ rule, range }) => `${range === undefined ? '' : placeOf(range)} ${rule}`);
}

/** What `range` covers of the file, lines joined. */
function covered({ range }: Diagnostic): string {
  assert.ok(range !== undefined);
  const lines = range.file.text.split('\n').slice(range.start.line - 1, range.end.line);
  const last = lines.length - 1;
  return lines
    .map((line, i) => line.slice(i === 0 ? range.start.column : 0, i === last ? range.end.column : undefined))
    .join('\n');
}

describe('places', () => {
  it('cover the word that is wrong, on the line where it stands', () => {
    const { diagnostics } = parse(
      'FROM scratch\nRUN \\\n  --mount=type=cache,\\\ntarget=/x,shairng=locked \\\n  make\n',
    );
    assert.deepEqual(diagnostics.map(covered), ['shairng=locked']);
    assert.equal(diagnostics[0]?.hint, 'did you mean sharing?');
  });

  it('cover the whole word when continuation lines cut through it', () => {
    const { diagnostics } = parse('FROM scratch\nCOPY --cho\\\nwn=1 --chmdo=2 a b\nCP\\\nOY a b\n');
    assert.deepEqual(diagnostics.map(covered), ['--chmdo=2', 'CP\\\nOY']);
  });

  it('count UTF-16 units and do not count what stands before', () => {
    const { diagnostics } = parse('\ufeffFROM scratch\nLABEL a="😀" b\n');
    assert.deepEqual(findings(diagnostics), ['2:13-2:14 invalid-pair']);
  });

  it('belong to each text of an instruction', () => {
    const { stages } = parse('FROM scratch\nENV a=1 \\\n    bc="2 3"\nCOPY ["x y", "/z"]\n');
    const [env, copy] = stages[0]?.instructions ?? [];
    assert.ok(env?.kind === 'env' && copy?.kind === 'copy');
    const texts = env.pairs.flatMap(({ key, value }) => [key, value]);
    assert.deepEqual(
      texts.map(({ raw, range }) => `${raw} ${placeOf(range)}`),
      ['a 2:4-2:5', '1 2:6-2:7', 'bc 3:4-3:6', '"2 3" 3:7-3:12'],
    );
    assert.equal(placeOf(copy.dest.range), '4:13-4:17');
  });

  it('of a heredoc body are its lines', () => {
    const { stages } = parse('FROM scratch\nCOPY <<A <<B /x/\n1\n2\nA\nB\n');
    const [copy] = stages[0]?.instructions ?? [];
    assert.ok(copy?.kind === 'copy');
    assert.deepEqual(
      copy.sources.map(({ range }) => placeOf(range)),
      ['3:0-5:1', '6:0-6:1'],
    );
    assert.equal(placeOf(copy.range), '2:0-6:1');
  });
});

describe('findings', () => {
  it('of an empty continuation line name the rule, the line and the documentation', () => {
    const { diagnostics } = parse('FROM scratch\nRUN a \\\n\n\n  b\nRUN c \\\n  # no\n  d\n');
    assert.deepEqual(findings(diagnostics), ['3:0-3:0 NoEmptyContinuation']);
    assert.equal(diagnostics[0]?.severity, 'warning');
    assert.match(diagnostics[0]?.url ?? '', /no-empty-continuation/);
  });

  it('suggest the name that was meant', () => {
    const hint = (line: string) => parse(`FROM scratch\n${line}\n`).diagnostics[0]?.hint;
    assert.equal(hint('RUNN x'), 'did you mean RUN?');
    assert.equal(hint('cpoy x'), 'did you mean copy?');
    assert.equal(hint('COPY --form=a b c'), 'did you mean --from?');
    assert.equal(hint('COPY --checksum=a b c'), '--checksum is a flag of ADD');
    assert.equal(hint('USER --a b'), 'USER has no flags');
    assert.equal(hint('RUN --network=nnoe a'), 'did you mean none?');
    assert.equal(hint('RUN --mount=type=bnid,target=/x a'), 'did you mean bind?');
    assert.equal(hint('RUN --mount=type=bind,target=/x,size=1 a'), 'size belongs to tmpfs mounts');
  });

  it('explain a heredoc that none was', () => {
    const { diagnostics } = parse('FROM scratch\nRUN cat<<EOF\nhello\nEOF\n');
    assert.match(diagnostics[0]?.hint ?? '', /<< opens one only at the beginning of a word/);
  });

  it('name the line that nearly ended a heredoc', () => {
    const { diagnostics } = parse('FROM scratch\nRUN <<EOF\na\n  EOF\nb\n');
    assert.match(diagnostics[0]?.hint ?? '', /^line 4 has white space around "EOF"/);
  });

  it('come in the order of the file and leave the rest readable', () => {
    const { diagnostics, stages } = parse(
      '# escape=x\nFROM scratch\nFOO\nUSER me\nCOPY a\nRUN ok \\\n\n  b\nCMD [1]\n',
    );
    const rules = diagnostics.map(({ rule }) => rule);
    assert.deepEqual(rules, [
      'invalid-escape',
      'unknown-instruction',
      'missing-argument',
      'NoEmptyContinuation',
      'json-not-strings',
    ]);
    assert.deepEqual(
      stages[0]?.instructions.map(({ kind }) => kind),
      ['user', 'run'],
    );
  });

  it('end when there are very many', () => {
    const { diagnostics } = parse(`FROM scratch\n${'FOO\n'.repeat(10_000)}`);
    assert.equal(diagnostics.length, MAX_ERRORS + 2);
    assert.equal(diagnostics.at(-1)?.rule, 'too-many-errors');
  });

  it('do not call instructions lost whose FROM could not be read', () => {
    assert.deepEqual(findings(parse('FROM a b\nRUN x\n').diagnostics), ['1:7-1:8 invalid-from']);
  });

  it('make control characters visible', () => {
    const { diagnostics } = parse('FROM scratch\nF\u001b[31mOO\n');
    assert.equal(diagnostics[0]?.message, 'unknown instruction "F\\u001b[31mOO"');
  });
});

describe('limits', () => {
  it('hold for a physical line, in bytes', () => {
    const line = (bytes: number) => `LABEL a=${'x'.repeat(bytes - 8)}`;
    assert.deepEqual(parse(`FROM scratch\n${line(MAX_LINE_BYTES)}\n`).diagnostics, []);
    assert.deepEqual(parse(`FROM scratch\n${line(MAX_LINE_BYTES)}`).diagnostics, []);
    const tooLong = parse(`FROM scratch\n${line(MAX_LINE_BYTES + 1)}\n`).diagnostics;
    assert.deepEqual(findings(tooLong), ['2:0-2:0 line-too-long']);
    const wide = parse(`FROM scratch\nLABEL a=${'é'.repeat(33_000)}\n`).diagnostics;
    assert.deepEqual(findings(wide), ['2:0-2:0 line-too-long']);
  });

  it('hold for a line of a heredoc, too, but not for joined lines', () => {
    const long = 'x'.repeat(MAX_LINE_BYTES + 1);
    assert.deepEqual(findings(parse(`FROM scratch\nRUN <<E\n${long}\nE\n`).diagnostics), [
      '3:0-3:0 line-too-long',
    ]);
    const joined = `RUN ${`${'y'.repeat(60_000)}\\\n`.repeat(3)}z`;
    assert.deepEqual(parse(`FROM scratch\n${joined}\n`).diagnostics, []);
  });

  it('hold for the file', () => {
    const comments = `${'#'.repeat(1023)}\n`.repeat(MAX_FILE_BYTES / 1024);
    assert.deepEqual(findings(parse(comments).diagnostics), ['1:0-1:0 no-instructions']);
    assert.deepEqual(findings(parse(`${comments}\n`).diagnostics), ['1:0-1:0 file-too-large']);
  });
});

describe('a trigger from a base image', () => {
  function trigger(text: string) {
    return parseTrigger(text, { name: 'ONBUILD of base', text });
  }

  it('is read as one instruction', () => {
    const { instruction, diagnostics } = trigger('COPY --from=x a b');
    assert.deepEqual(diagnostics, []);
    assert.ok(instruction !== undefined);
    assert.deepEqual(projectInstruction(instruction), {
      copy: '1:0-1:17',
      sources: ['a'],
      dest: 'b',
      from: 'x',
    });
  });

  it('may have a heredoc, and is the text that ONBUILD stores', () => {
    const { stages } = parse('FROM scratch\nONBUILD RUN <<-EOF cat\n\tx\n\tEOF\n');
    const [onbuild] = stages[0]?.instructions ?? [];
    assert.ok(onbuild?.kind === 'onbuild');
    assert.equal(onbuild.trigger, 'RUN <<-EOF cat\n\tx\nEOF');
    const { instruction } = trigger(onbuild.trigger);
    assert.ok(instruction?.kind === 'run' && instruction.command.form === 'shell');
    assert.deepEqual(
      instruction.command.heredocs.map(({ body, verbatim }) => [body, verbatim]),
      [['x\n', '\tx\n']],
    );
  });

  it('marks places in its own text', () => {
    const { diagnostics } = parseTrigger('COPY --form=a b c', { name: 'base', text: 'other' });
    assert.deepEqual(diagnostics.map(covered), ['--form=a']);
    assert.equal(diagnostics[0]?.range?.file.name, 'base');
  });

  it('is refused when it could not stand behind ONBUILD', () => {
    for (const text of [
      'FROM a',
      'ONBUILD RUN a',
      'MAINTAINER a',
      '',
      '# x',
      'RUN a\nRUN b',
      'FOO',
      'COPY a',
    ]) {
      const { instruction, diagnostics } = trigger(text);
      assert.equal(instruction, undefined, text);
      assert.equal(diagnostics.length, 1, text);
    }
  });
});

describe('a duration', () => {
  it('is read as Go reads it', () => {
    const second = 1_000_000_000;
    const cases = {
      0: 0,
      '1s': second,
      '1m30s': 90 * second,
      '1.5h': 5400 * second,
      '.5s': second / 2,
      '2.s': 2 * second,
      '+1s': second,
      '-1s': -second,
      '1us': 1000,
      '1µs': 1000,
      '1μs': 1000,
      '100ns': 100,
      '0.1ns': 0,
      '-0': 0,
    };
    for (const [text, nanoseconds] of Object.entries(cases))
      assert.equal(parseDuration(text), nanoseconds, text);
  });

  it('is nothing else', () => {
    for (const text of ['', '1', 's', '.s', '1x', '1 s', '1s ', '1h-1m', '9999999h', '1e3s', '--1s']) {
      assert.equal(parseDuration(text), undefined, text);
    }
  });
});
