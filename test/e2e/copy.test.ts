// COPY and ADD on real images: what only a build shows. docs/dockerfile.md names these tests row by row.
import assert from 'node:assert/strict';
import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { commitAll, newRepository, startGitServer } from '../support/git-server.ts';
import { buildFiles, buildImage, writeContext } from '../support/images.ts';
import { must } from '../support/program.ts';
import { served } from '../support/web-server.ts';
import { withBases } from '../support/with-bases.ts';

const { slipway } = await withBases();

const context = (text: string, files: Record<string, string | Uint8Array> = {}) =>
  writeContext(slipway, { Dockerfile: text, ...files });

const passwd = `RUN echo "app:x:1000:1001::/:/bin/sh" >> /etc/passwd && echo "team:x:2000:" >> /etc/group\n`;

test('files belong to root whatever USER says, and to whom --chown names by the passwd and group of the image', async () => {
  const files = await buildFiles(slipway, [
    context(
      `FROM busybox
${passwd}USER app
COPY f /plain
COPY --chown=app f /user
COPY --chown=app:team f /both
COPY --chown=:team f /group
COPY --chown=77 f /number
ADD --chown=app:9 f /made/by/add
`,
      { f: '1' },
    ),
  ]);
  const owner = (path: string) => files.get(path)?.split(' ')[1];
  assert.deepEqual(
    ['plain', 'user', 'both', 'group', 'number', 'made/by/add', 'made/', 'made/by/'].map(owner),
    ['0/0', '1000/1001', '1000/2000', '0/2000', '77/77', '1000/9', '1000/9', '1000/9'],
  );
});

test('a name that --chown does not find is an error with a place, and on scratch only numbers are known', async () => {
  const refused = async (text: string, pattern: RegExp) => {
    const ended = await slipway.run(['build', context(text, { f: '' })]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, pattern);
    assert.match(ended.stderr, /Dockerfile:2\n/);
  };
  await refused('FROM busybox\nCOPY --chown=nobdy f /\n', /nobdy/);
  await refused('FROM scratch\nCOPY --chown=root f /\n', /root/);
  const files = await buildFiles(slipway, [context('FROM scratch\nCOPY --chown=3:4 f /\n', { f: '' })]);
  assert.equal(files.get('f'), '-rw-r--r-- 3/4 0');
});

test('COPY keeps modes, links and hard links, and skips sockets', async () => {
  const dir = context('FROM scratch\nCOPY tree /tree/\n', { 'tree/a': 'x' });
  const tree = join(dir, 'tree');
  chmodSync(join(tree, 'a'), 0o4751);
  linkSync(join(tree, 'a'), join(tree, 'b'));
  symlinkSync('/etc/shadow', join(tree, 'out'));
  const socket = createSocket().listen(join(tree, 'socket'));
  await new Promise(resolve => socket.once('listening', resolve));
  try {
    assert.deepEqual(
      [...(await buildFiles(slipway, [dir]))],
      [
        ['tree/', 'drwxr-xr-x 0/0'],
        ['tree/a', '-rwsr-x--x 0/0 1'],
        ['tree/b', 'hrwsr-x--x 0/0 tree/a'],
        ['tree/out', 'lrwxrwxrwx 0/0 /etc/shadow'],
      ],
    );
  } finally {
    await new Promise(resolve => socket.close(resolve));
  }
});

test('COPY --from keeps capabilities and hard links; attributes of files in the context stay there', async () => {
  const dir = context(
    'FROM scratch AS one\nADD packed.tar /\nFROM scratch\nCOPY --from=one /in /in/\nCOPY own /own\n',
    { own: 'x', 'in/tool': 'x', 'in/one': 'y' },
  );
  linkSync(join(dir, 'in/one'), join(dir, 'in/twin'));
  await must(['setcap', 'cap_net_raw+ep', join(dir, 'in/tool')]);
  await must(['setcap', 'cap_net_raw+ep', join(dir, 'own')]);
  await must(['sh', '-c', 'cd $0 && tar --xattrs --xattrs-include="*" -cf packed.tar in', dir]);
  const dest = join(slipway.dir, 'attributes.tar');
  await slipway.must(['build', '-o', `type=tar,dest=${dest}`, dir]);
  const listing = await must(['tar', '--xattrs', '--xattrs-include=*', '-tvvf', dest]);
  assert.match(listing, / in\/tool\n +x: +20 security\.capability\n/);
  assert.match(listing, / in\/twin link to in\/one\n/);
  assert.equal(listing.match(/security\.capability/g)?.length, 1, listing);
});

test('COPY --link gives the same layer on any base', async () => {
  const link = (base: string) => context(`FROM ${base}\nCOPY --link f /d/e/\n`, { f: 'x' });
  const onBusybox = await buildImage(slipway, [link('busybox')]);
  const onScratch = await buildImage(slipway, [link('scratch')]);
  assert.equal(onBusybox.manifest.layers.at(-1)?.digest, onScratch.manifest.layers.at(-1)?.digest);
});

test('COPY --parents keeps directories from the pivot on, --exclude leaves out, --chmod takes letters', async () => {
  const files = await buildFiles(slipway, [
    context(
      'FROM scratch\nCOPY --parents --exclude=**/*.md --chmod=go-r,u+x ./src/./lib/**/*.? src/lib/c /x/\n',
      { 'src/lib/a/1.c': '', 'src/lib/a/1.md': '', 'src/lib/b/2.h': '', 'src/lib/c': '' },
    ),
  ]);
  assert.deepEqual(
    [...files].filter(([path]) => !path.endsWith('/')),
    [
      ['x/lib/a/1.c', '-rwx------ 0/0 0'],
      ['x/lib/b/2.h', '-rwx------ 0/0 0'],
      ['x/src/lib/c', '-rwx------ 0/0 0'],
    ],
  );
});

test('a wildcard without a match copies nothing and says so', async () => {
  const { layers, stderr } = await buildImage(slipway, [context('FROM scratch\nCOPY *.none /x/\n')]);
  assert.deepEqual(layers, []);
  assert.match(stderr, /warning: .*\*\.none/);
});

test('heredocs of COPY are files with the variables of the build, quoted ones without', async () => {
  const out = join(slipway.dir, 'inline');
  const text = `FROM scratch
ARG WHO=world
COPY --chmod=700 <<run <<"raw" other /x/
hello $WHO \\$WHO
run
as is $WHO
raw
ADD <<-EOF /y
	tab
	EOF
`;
  await slipway.must(['build', '-o', out, context(text, { other: 'o' })]);
  const read = (name: string) => readFileSync(join(out, name), 'utf8');
  assert.deepEqual(
    [read('x/run'), read('x/raw'), read('x/other'), read('y')],
    ['hello world $WHO\n', 'as is $WHO\n', 'o', 'tab\n'],
  );
  assert.equal(statSync(join(out, 'x/run')).mode & 0o777, 0o700);
  assert.equal(statSync(join(out, 'y')).mode & 0o777, 0o644);
});

test('ADD unpacks local archives by what is in them: plain, gzip, bzip2, xz and zstd', async () => {
  const dir = context(
    'FROM busybox\nRUN mkdir -m 700 /into\nADD 1 2 3 4 5 notes.tar /into/\nADD --unpack=false 2 /kept\n',
    {
      'notes.tar': 'no archive',
    },
  );
  for (const [i, pack] of ['--no-auto-compress', '-z', '-j', '-J', '--zstd'].entries()) {
    const name = `from-${i + 1}`;
    mkdirSync(join(dir, 'src', name), { recursive: true });
    await must(['tar', '-C', join(dir, 'src'), pack, '-cf', join(dir, String(i + 1)), name]);
  }
  const files = await buildFiles(slipway, [dir]);
  assert.equal(files.get('into/'), 'drwx------ 0/0', 'a directory that was there keeps its mode');
  for (const i of [1, 2, 3, 4, 5]) assert.match(files.get(`into/from-${i}/`) ?? '', /^drwx/);
  assert.match(files.get('into/notes.tar') ?? '', / 10$/);
  assert.match(files.get('kept') ?? '', /^-rw/);
});

test('ADD of a URL: mode 0600, the name in the URL, the time that the server gives, and the checksum that was asked for', async () => {
  const archive = await must([
    'sh',
    '-c',
    'mkdir -p $0/in && tar -C $0 -cf - in | base64',
    join(slipway.dir, 'pack'),
  ]);
  await served(
    (request, response) => {
      if (request.url === '/a.tar') return response.end(Buffer.from(archive, 'base64'));
      response.setHeader('last-modified', 'Sun, 13 Sep 2020 12:26:40 GMT');
      response.setHeader('content-disposition', 'attachment; filename="given.txt"');
      return response.end('hello');
    },
    async origin => {
      const sum = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';
      const text = `FROM scratch
ADD ${origin}/f ${origin}/?named /d/
ADD --checksum=sha256:${sum} ${origin}/f /whole
ADD ${origin}/a.tar /kept.tar
ADD --unpack ${origin}/a.tar /unpacked/
`;
      const out = join(slipway.dir, 'url');
      await slipway.must(['build', '-o', out, context(text)]);
      const stat = statSync(join(out, 'd/f'));
      assert.deepEqual([stat.mode & 0o7777, stat.mtime.toISOString()], [0o600, '2020-09-13T12:26:40.000Z']);
      assert.equal(readFileSync(join(out, 'd/given.txt'), 'utf8'), 'hello');
      assert.equal(readFileSync(join(out, 'whole'), 'utf8'), 'hello');
      assert.ok(statSync(join(out, 'kept.tar')).isFile());
      assert.ok(statSync(join(out, 'unpacked/in')).isDirectory());
      const wrong = context(`FROM scratch\nADD --checksum=sha256:${'0'.repeat(64)} ${origin}/f /\n`);
      const ended = await slipway.run(['build', wrong]);
      assert.equal(ended.status, 1);
      assert.match(ended.stderr, new RegExp(sum));
      const missing = await slipway.run([
        'build',
        context(`FROM scratch\nADD ${origin.replace(/\d+$/, '1')}/x /\n`),
      ]);
      assert.equal(missing.status, 1);
      assert.match(missing.stderr, /Dockerfile:2\n/);
    },
  );
});

test('ADD of a URL is asked for every time, and executed again only when other bytes come', async () => {
  let body = 'one';
  await served(
    (_, response) => response.end(body),
    async origin => {
      const dir = context(`FROM scratch\nADD ${origin}/f /f\n`);
      const build = async () => (await slipway.must(['build', '--progress=plain', dir])).stderr;
      assert.match(await build(), /0 of 1 steps cached/);
      assert.match(await build(), /1 of 1 steps cached/);
      body = 'two';
      assert.match(await build(), /0 of 1 steps cached/);
    },
  );
});

test('ADD of a URL asks whether the file has changed, and downloads it only when somebody needs the bytes', async () => {
  let state = { body: 'asked one', tag: '"v1"' };
  const answers: number[] = [];
  await served(
    (request, response) => {
      response.setHeader('etag', state.tag);
      if (request.url === '/old') response.setHeader('last-modified', 'Sun, 13 Sep 2020 12:26:40 GMT');
      const isSame =
        request.headers['if-none-match'] === state.tag ||
        (request.url === '/old' && request.headers['if-modified-since'] !== undefined);
      response.statusCode = isSame ? 304 : 200;
      answers.push(response.statusCode);
      return response.end(isSame ? '' : state.body);
    },
    async origin => {
      const build = async (text: string) => {
        answers.length = 0;
        const out = join(slipway.dir, 'asked');
        rmSync(out, { recursive: true, force: true });
        const { stderr } = await slipway.must(['build', '--progress=plain', '-o', out, context(text)]);
        const cached = /(\d) of \d steps? cached/.exec(stderr)?.[1];
        return [cached, answers.join(' '), readFileSync(join(out, 'f'), 'utf8')];
      };
      const text = `FROM scratch\nADD ${origin}/f /f\n`;
      assert.deepEqual(await build(text), ['0', '200', 'asked one']);
      assert.deepEqual(await build(text), ['1', '304', 'asked one']);
      const elsewhere = `FROM scratch\nWORKDIR /w\nADD ${origin}/f /f\n`;
      assert.deepEqual(await build(elsewhere), ['0', '304 200', 'asked one']);
      state = { body: 'asked two', tag: '"v2"' };
      assert.deepEqual(await build(text), ['0', '200', 'asked two']);
      assert.deepEqual(await build(text), ['1', '304', 'asked two']);
      // A weak tag says nothing of bytes.
      state = { body: 'asked three', tag: 'W/"v3"' };
      assert.deepEqual(await build(text), ['0', '200', 'asked three']);
      assert.deepEqual(await build(text), ['1', '200', 'asked three']);
      const old = `FROM scratch\nADD ${origin}/old /f\n`;
      assert.deepEqual(await build(old), ['0', '200', 'asked three']);
      assert.deepEqual(await build(old), ['1', '304', 'asked three']);
    },
  );
});

test('ADD of a URL that changes between the question and the download is an error, and well the next time', async () => {
  let asked = 0;
  await served(
    (request, response) => {
      asked++;
      response.setHeader('etag', '"v1"');
      const isSame = request.headers['if-none-match'] !== undefined;
      response.statusCode = isSame ? 304 : 200;
      // Made anew each time, as archives are that a server packs with the time of day.
      return response.end(isSame ? '' : `answer ${asked}`);
    },
    async origin => {
      await slipway.must(['build', context(`FROM scratch\nADD ${origin}/f /f\n`)]);
      const again = context(`FROM scratch\nWORKDIR /w\nADD ${origin}/f /f\n`);
      const { status, stderr } = await slipway.run(['build', again]);
      assert.equal(status, 1);
      assert.match(stderr, /\/f has changed while it was being added\n.*Dockerfile:3\n.*try: build again/s);
      const out = join(slipway.dir, 'changed');
      await slipway.must(['build', '-o', out, again]);
      assert.equal(readFileSync(join(out, 'f'), 'utf8'), 'answer 4');
    },
  );
});

test('ADD of a URL sends the credential that a secret lends, and no trace of it stays', async () => {
  await served(
    (request, response) => {
      response.statusCode = request.headers.authorization === 'Bearer canary-5521' ? 200 : 401;
      response.end('private');
    },
    async origin => {
      const dir = context(`FROM scratch\nADD ${origin}/f /\n`);
      const refused = await slipway.run(['build', dir]);
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /--secret id=HTTP_AUTH_TOKEN_127\.0\.0\.1:\d+/);
      const secret = `id=HTTP_AUTH_TOKEN_${new URL(origin).host},env=TOKEN`;
      await slipway.must(['build', '--secret', secret, dir], { env: { TOKEN: 'canary-5521' } });
      assert.equal(await must(['sh', '-c', 'grep -r canary-5521 "$0" || true', slipway.store]), '');
    },
  );
});

test('ADD of a git reference: a commit, a subdirectory, without .git unless it is kept', async () => {
  const base = join(slipway.dir, 'repositories');
  const repository = newRepository(base, 'app');
  mkdirSync(join(repository, 'sub'));
  writeFileSync(join(repository, 'sub/run'), '#!/bin/sh\n', { mode: 0o700 });
  writeFileSync(join(repository, 'README'), 'one', { mode: 0o600 });
  const commit = commitAll(repository, 'one');
  const server = await startGitServer(base);
  try {
    const files = await buildFiles(slipway, [
      context(`FROM scratch
ADD ${server.url}/app#main /all
ADD ${server.url}/app#main:sub /sub
ADD --keep-git-dir=true ${server.url}/app#${commit} /with
ADD --checksum=${commit} ${server.url}/app /checked
`),
    ]);
    assert.equal(files.get('all/README'), '-rw-r--r-- 0/0 3');
    assert.equal(files.get('all/sub/run'), '-rwxr-xr-x 0/0 10');
    assert.equal(files.get('sub/run'), '-rwxr-xr-x 0/0 10');
    assert.equal(files.has('all/.git/'), false);
    assert.equal(files.has('with/.git/HEAD'), true);
    assert.equal(files.has('checked/README'), true);
    const wrong = context(`FROM scratch\nADD --checksum=${'0'.repeat(40)} ${server.url}/app /\n`);
    const ended = await slipway.run(['build', wrong]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, new RegExp(commit));
  } finally {
    await server.close();
  }
});

test('a git repository is a context or a named one, and keeps .git with BUILDKIT_CONTEXT_KEEP_GIT_DIR', async () => {
  const base = join(slipway.dir, 'contexts');
  const repository = newRepository(base, 'app');
  writeFileSync(join(repository, 'Dockerfile'), 'FROM scratch\nCOPY . /\n');
  commitAll(repository, 'one');
  const server = await startGitServer(base);
  try {
    const url = `${server.url}/app`;
    assert.deepEqual([...(await buildFiles(slipway, [url])).keys()], ['Dockerfile']);
    const kept = await buildFiles(slipway, ['--build-arg', 'BUILDKIT_CONTEXT_KEEP_GIT_DIR=1', url]);
    assert.ok(kept.has('.git/HEAD'));
    const named = context('FROM scratch\nCOPY --from=src Dockerfile /from-git\n');
    const copied = await buildFiles(slipway, ['--build-context', `src=${url}#main`, named]);
    assert.ok(copied.has('from-git'));
  } finally {
    await server.close();
  }
});
