// Tables, and times as Go prints them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goTime, localRfc3339 } from '../../src/cli/format.ts';
import { renderListing } from '../../src/cli/listing.ts';
import { ellipsis } from '../../src/cli/width.ts';
import { run } from '../support/program.ts';

const listing = {
  heads: { ID: 'IMAGE ID', Name: 'NAME' },
  columns: ['ID', 'Name'],
  rows: [
    { ID: 'abc', Name: 'one' },
    { ID: 'a much longer id', Name: '<two>' },
  ],
};

test('columns are ten wide at least and three apart, the last one is not padded', () => {
  assert.equal(
    renderListing(listing, undefined),
    'IMAGE ID           NAME\nabc                one\na much longer id   <two>\n',
  );
  assert.equal(renderListing({ ...listing, rows: [] }, 'table'), 'IMAGE ID   NAME\n');
});

test('wide characters take two columns', () => {
  const rows = [
    { ID: '日本語の説明文', Name: 'one' },
    { ID: 'abc', Name: 'two' },
  ];
  assert.equal(
    renderListing({ ...listing, rows }, undefined),
    'IMAGE ID         NAME\n日本語の説明文   one\nabc              two\n',
  );
});

test('a format is filled in for each row, with a head in front for tables', () => {
  assert.equal(renderListing(listing, '{{.Name}}\\t{{.ID}}'), 'one\tabc\n<two>\ta much longer id\n');
  assert.equal(
    renderListing(listing, 'table {{.Name}}\\t{{lower .ID}}'),
    'NAME      image id\none       abc\n<two>     a much longer id\n',
  );
  const json = '{"ID":"abc","Name":"one"}\n{"ID":"a much longer id","Name":"\\u003ctwo\\u003e"}\n';
  assert.equal(renderListing(listing, 'json'), json);
  assert.equal(renderListing(listing, '{{json .}}'), json);
  assert.throws(() => renderListing(listing, '{{.Nope}}'), /no field ".Nope"/);
});

test('times are those of the local zone', async () => {
  const url = new URL('../../src/cli/format.js', import.meta.url).href;
  const shown = async (zone: string) => {
    const code = `import(${JSON.stringify(url)}).then(f => console.log(f.goTime('2026-01-31T23:30:05.5Z'), f.localRfc3339('2026-01-31T23:30:05.5Z')))`;
    return (await run([process.execPath, '-e', code], { env: { TZ: zone } })).stdout.trim();
  };
  assert.equal(await shown('UTC'), '2026-01-31 23:30:05 +0000 UTC 2026-01-31T23:30:05Z');
  assert.equal(await shown('America/New_York'), '2026-01-31 18:30:05 -0500 EST 2026-01-31T18:30:05-05:00');
  assert.equal(goTime('never'), 'N/A');
  assert.equal(localRfc3339(''), 'N/A');
});

test('long texts end with an ellipsis', () => {
  assert.equal(ellipsis('abcdef', 6), 'abcdef');
  assert.equal(ellipsis('abcdefg', 6), 'abcde…');
  assert.equal(ellipsis('日本語の説明', 6), '日本…');
});
