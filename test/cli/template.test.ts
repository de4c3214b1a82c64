// Go templates as --format takes them. What docker makes of the same text is compared in e2e/images.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileTemplate, type Value } from '../../src/cli/template/run.ts';
import { fromJson } from '../../src/cli/template/value.ts';
import { BuildError } from '../../src/errors.ts';

const subject: Value = {
  Name: 'app',
  Count: 3,
  Tags: ['a', 'b', 'c'],
  Labels: new Map<string, Value>([
    ['kind', 'x'],
    ['a.b', 'dotted'],
  ]),
  Inner: { Deep: { Flag: true } },
  None: null,
};

/** [template, result], most of them from the documentation of Go's text/template and docker's formatting page. */
const good: readonly (readonly [string, string])[] = [
  ['plain', 'plain'],
  ['{{.Name}} {{ .Count }}', 'app 3'],
  ['{{.Inner.Deep.Flag}}', 'true'],
  ['{{$.Name}}{{with .Inner}}{{.Deep.Flag}}{{$.Count}}{{end}}', 'apptrue3'],
  ['{{range .Tags}}{{.}},{{end}}', 'a,b,c,'],
  ['{{range $i, $t := .Tags}}{{$i}}={{$t}} {{end}}', '0=a 1=b 2=c '],
  ['{{range $t := .Tags}}{{if eq $t "b"}}{{continue}}{{end}}{{$t}}{{end}}', 'ac'],
  ['{{range .Tags}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', 'a'],
  ['{{range .None}}x{{else}}empty{{end}}', 'empty'],
  ['{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}', 'a.b:dotted;kind:x;'],
  ['{{if .None}}yes{{else if eq .Count 3}}three{{else}}no{{end}}', 'three'],
  ['{{if and .Name (not .None) (or .None .Count)}}ok{{end}}', 'ok'],
  ['{{with .None}}x{{else}}none{{end}}', 'none'],
  ['{{index .Tags 1}}{{index .Labels "a.b"}}', 'bdotted'],
  ['{{.Labels.kind}}{{.Labels.missing}}', 'x<no value>'],
  ['{{len .Tags}}{{len .Name}}', '33'],
  ['{{.Name | upper | printf "%s-%d-%v" "x" 7}}', 'x-7-APP'],
  ['{{printf "%-5s|%5s|%05d|%q|%%" "a" "b" 42 "c"}}', 'a    |    b|00042|"c"|%'],
  ['{{json .Tags}} {{json .Labels}} {{json .None}}', '["a","b","c"] {"a.b":"dotted","kind":"x"} null'],
  ['{{json "<&>"}}', '"<&>"'],
  ['{{join .Tags "+"}} {{split "x/y" "/"}}', 'a+b+c [x y]'],
  ['{{.Tags}} {{.Labels}} {{.Inner}}', '[a b c] map[a.b:dotted kind:x] {{true}}'],
  ['{{truncate "abcdef" 3}}{{title "hello world"}}{{pad "x" 1 2}}|{{lower "ABC"}}', 'abcHello World x  |abc'],
  ['{{slice "abcdef" 1 3}}{{slice .Tags 1}}', 'bc[b c]'],
  ['a  {{- " b " -}}  c', 'a b c'],
  ['{{/* a comment */}}x{{- /* another */ -}}  y', 'xy'],
  ['{{$x := 1}}{{$x = 2}}{{$x}}', '2'],
  ['{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{end}}{{$x}}', '2'],
  ['{{(index .Tags 0) | len}}{{(.Inner).Deep.Flag}}', '1true'],
  ['{{`raw "text"`}} {{"tab\\tq\\"\\u00e9"}}', 'raw "text" tab\tq"é'],
  ['{{eq .Count 1 2 3}}{{ne 1 2}}{{lt 1 2}}{{ge "b" "a"}}', 'truetruetruetrue'],
  ['{{print 1 2 "a" "b" 3}}{{println "x"}}', '1 2ab3x\n'],
  ['{{html "<a>"}}{{urlquery "a b&c"}}', '&lt;a&gt;a+b%26c'],
  ['{{-3}} {{1.5}} {{0x10}}', '-3 1.5 16'],
];

test('templates give what Go gives', () => {
  for (const [template, expected] of good) {
    assert.equal(compileTemplate(template)(subject), expected, template);
  }
});

test('what is no template, or does not fit, is refused with the reason', () => {
  for (const [template, message] of [
    ['{{', /does not end/],
    ['{{.Name', /does not end/],
    ['{{end}}', /without an action/],
    ['{{if .Name}}', /no \{\{end\}\}/],
    ['{{if}}x{{end}}', /a value is missing/],
    ['{{break}}', /outside of a range/],
    ['{{.Name "x"}}', /called as if it were a function/],
    ['{{nope .Name}}', /unknown function "nope"/],
    ['{{template "x"}}', /not supported/],
    ['{{"open}}', /does not end/],
    ['{{/* open }}', /comment does not end/],
    ['{{(len .Tags}}', /parenthesis/],
    ['{{.Missing}}', /no field ".Missing"/],
    ['{{.Name.Deeper}}', /no field/],
    ['{{$y}}', /no variable \$y/],
    ['{{range .Count}}x{{end}}', /range needs/],
    ['{{index .Tags 9}}', /no item 9/],
    ['{{eq .Tags .Tags}}', /cannot be compared/],
    ['{{len 3}}', /no length/],
    ['{{constructor}}', /unknown function/],
    ['{{.constructor}}', /no field/],
    ['{{.Inner.__proto__}}', /no field/],
    [`${'{{if true}}'.repeat(200)}`, /nested too deeply/],
    [`{{${'('.repeat(200)}}}`, /nested too deeply/],
  ] as const) {
    assert.throws(
      () => compileTemplate(template)(subject),
      (error: unknown) =>
        error instanceof BuildError && error.code === 'usage' && message.test(error.message),
      template.slice(0, 60),
    );
  }
});

test('any text is a template or a usage error, at once', () => {
  const pieces = fc.constantFrom(
    '{{',
    '}}',
    ' ',
    '.Name',
    '|',
    '(',
    ')',
    'if',
    'end',
    'range',
    '"',
    '`',
    '$x',
    ':=',
    '-',
    '/*',
    '*/',
    'len',
    '.',
    '3',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(pieces).map(parts => parts.join('')),
      ),
      template => {
        try {
          assert.equal(typeof compileTemplate(template)(subject), 'string');
        } catch (error) {
          assert.ok(error instanceof BuildError && error.code === 'usage', String(error));
        }
      },
    ),
  );
});

test('a template cannot make output without end', () => {
  const many: Value = { L: Array.from({ length: 1000 }, () => 'x'.repeat(100)) };
  const nested = `${'{{range $.L}}'.repeat(4)}{{.}}${'{{end}}'.repeat(4)}`;
  assert.throws(() => compileTemplate(nested)(many), /too much text/);
});

test('objects of JSON are structs, or maps where that is said', () => {
  const value = fromJson({ Labels: { a: '1' }, Config: { User: 'x' } }, field => field === 'Labels');
  assert.equal(compileTemplate('{{.Labels.b}}{{.Config.User}}')(value), '<no value>x');
  assert.throws(() => compileTemplate('{{.Config.Other}}')(value), /no field/);
});
