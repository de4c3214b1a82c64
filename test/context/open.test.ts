import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { after, beforeEach, describe, test } from 'node:test';
import { type ContextOptions, openContext } from '../../src/context/open.ts';
import { digestOf } from '../../src/image/digest.ts';
import { type BytePath, bytePath } from '../../src/tree/entry.ts';
import type { FileTree } from '../../src/tree/file-tree.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-open-'));
after(() => rmSync(base, { recursive: true, force: true }));
let cwd = base;
let count = 0;
beforeEach(() => {
  cwd = join(base, String(++count));
  mkdirSync(join(cwd, 'tmp'), { recursive: true });
  mkdirSync(join(cwd, 'ctx'));
});

const options = (extra: Partial<ContextOptions> = {}): ContextOptions => ({
  cwd,
  tmp: join(cwd, 'tmp'),
  signal: new AbortController().signal,
  ...extra,
});

function write(path: string, text: string | Buffer): void {
  mkdirSync(dirname(join(cwd, path)), { recursive: true });
  writeFileSync(join(cwd, path), text);
}

const tar = (...args: string[]): Buffer => execFileSync('tar', ['-C', join(cwd, 'ctx'), '-c', ...args]);
const stdin = (bytes: string | Buffer) => Readable.from([Buffer.from(bytes)]);
const names = (tree: FileTree) => tree.list('' as BytePath);

async function textOf(tree: FileTree, path: string): Promise<string | undefined> {
  const entry = tree.lookup(bytePath(path));
  if (!entry) return undefined;
  const source = tree.content(entry);
  if (source.kind === 'bytes') return Buffer.from(source.bytes).toString();
  if (source.kind === 'in-tree') return readFileSync(join(source.root, source.path), 'utf8');
  return readFileSync(source.file)
    .subarray(source.offset, source.offset + source.size)
    .toString();
}

describe('the Dockerfile of a directory', () => {
  const order: [string[], string][] = [
    [['Dockerfile', 'dockerfile', 'Containerfile'], 'Dockerfile'],
    [['dockerfile', 'Containerfile'], 'dockerfile'],
    [['Containerfile'], 'Containerfile'],
  ];
  for (const [files, expected] of order) {
    test(`of ${files.join(', ')} is ${expected}`, async () => {
      for (const file of files) write(`ctx/${file}`, `# ${file}`);
      await using context = await openContext('ctx', options());
      assert.deepEqual(context.dockerfile, { name: expected, text: `# ${expected}` });
    });
  }
  test('that is not there is an error that says what was looked for', async () => {
    await assert.rejects(openContext('ctx', options()), {
      code: 'context',
      hint: /Dockerfile, dockerfile, Containerfile/,
    });
  });
  test('is the one of -f, relative to the current directory, also outside of the context', async () => {
    write('other/My.Dockerfile', '# mine');
    await using context = await openContext('ctx', options({ file: 'other/My.Dockerfile' }));
    assert.deepEqual(context.dockerfile, { name: 'other/My.Dockerfile', text: '# mine' });
  });
  test('comes from standard input with -f -', async () => {
    write('ctx/a', '');
    await using context = await openContext('ctx', options({ file: '-', stdin: stdin('FROM scratch') }));
    assert.deepEqual(context.dockerfile, { name: 'stdin', text: 'FROM scratch' });
    assert.deepEqual(names(context.tree), ['a']);
  });
  test('missing, a directory or far too large is refused', async () => {
    mkdirSync(join(cwd, 'ctx/Dockerfile'));
    await assert.rejects(openContext('ctx', options()), { code: 'context', message: /no regular file/ });
    await assert.rejects(openContext('ctx', options({ file: 'none' })), {
      code: 'context',
      message: /none does not exist/,
    });
    write('big', Buffer.alloc(2 * 1024 * 1024 + 1, 32));
    await assert.rejects(openContext('ctx', options({ file: 'big' })), { code: 'context', message: /2 MiB/ });
  });
  test('is not asked for when the context is only copied from', async () => {
    write('ctx/a', '');
    await using context = await openContext('ctx', options({ dockerfile: 'none', name: 'assets' }));
    assert.equal(context.tree.description, 'context "assets"');
    assert.deepEqual(names(context.tree), ['a']);
  });
});

describe('links in a context', () => {
  for (const name of ['Dockerfile', '.dockerignore']) {
    for (const [where, target] of [
      ['up', '../secret'],
      ['to an absolute path', '/etc/hostname'],
    ] as const) {
      test(`a ${name} that leads ${where} is refused and not quoted`, async () => {
        write('secret', 'TOP SECRET [');
        if (name !== 'Dockerfile') write('ctx/Dockerfile', 'FROM scratch');
        symlinkSync(target, join(cwd, 'ctx', name));
        await assert.rejects(openContext('ctx', options()), (error: Error & { code: string }) => {
          assert.equal(error.code, 'hostile');
          assert.ok(!error.message.includes('SECRET'));
          return true;
        });
      });
    }
  }
  test('a Dockerfile that is a link inside the context is read', async () => {
    write('ctx/build/real', '# real');
    symlinkSync('build/../build/real', join(cwd, 'ctx/Dockerfile'));
    await using context = await openContext('ctx', options());
    assert.equal(context.dockerfile.text, '# real');
  });
});

describe('the ignore file of a directory', () => {
  beforeEach(() => {
    write('ctx/Dockerfile', 'FROM scratch');
    write('ctx/a', '');
    write('ctx/b', '');
  });
  test('is .dockerignore, and may leave out itself and the Dockerfile', async () => {
    write('ctx/.dockerignore', 'a\nDockerfile\n.dockerignore');
    await using context = await openContext('ctx', options());
    assert.deepEqual(names(context.tree), ['b']);
    assert.equal(context.dockerfile.text, 'FROM scratch');
    assert.equal(context.ignore.file.name, '.dockerignore');
  });
  test('is the one beside the Dockerfile when there is one', async () => {
    write('ctx/.dockerignore', 'a');
    write('ctx/Dockerfile.dockerignore', 'b\n*Docker*\n*docker*');
    await using context = await openContext('ctx', options());
    assert.deepEqual(names(context.tree), ['a']);
  });
  test('is beside the Dockerfile outside of the context too', async () => {
    write('ctx/.dockerignore', 'a');
    write('other/D', '');
    write('other/D.dockerignore', 'b');
    await using context = await openContext('ctx', options({ file: 'other/D' }));
    assert.ok(names(context.tree).includes('a'));
    assert.ok(!names(context.tree).includes('b'));
    assert.equal(context.ignore.file.name, 'other/D.dockerignore');
  });
  test('with an invalid pattern is an error with its place', async () => {
    write('ctx/.dockerignore', 'a\nb[');
    await assert.rejects(
      openContext('ctx', options()),
      (error: { code: string; range?: { start: { line: number } } }) => {
        assert.equal(error.code, 'context');
        assert.equal(error.range?.start.line, 2);
        return true;
      },
    );
  });
});

describe('a context that is not there', () => {
  test('is told apart from one that is no directory', async () => {
    write('file', 'text');
    await assert.rejects(openContext('none', options()), { code: 'context', message: /none does not exist/ });
    await assert.rejects(openContext('file', options()), {
      code: 'context',
      message: /file is no tar archive/,
    });
    assert.deepEqual(readdirSync(join(cwd, 'tmp')), []);
  });
});

describe('standard input', () => {
  test('with text is a Dockerfile with an empty context', async () => {
    await using context = await openContext('-', options({ stdin: stdin('FROM scratch\n') }));
    assert.deepEqual(context.dockerfile, { name: 'stdin', text: 'FROM scratch\n' });
    assert.deepEqual(names(context.tree), []);
  });
  test('cannot be both context and Dockerfile', async () => {
    await assert.rejects(openContext('-', options({ file: '-', stdin: stdin('') })), { code: 'usage' });
    await assert.rejects(openContext('-', options({ file: 'x', stdin: stdin('FROM a') })), { code: 'usage' });
  });
  test('with bytes that are neither is refused', async () => {
    await assert.rejects(openContext('-', options({ stdin: stdin('\0\x01\x02') })), { code: 'context' });
    const packed = execFileSync('gzip', ['-c'], { input: 'hello' });
    await assert.rejects(openContext('-', options({ stdin: stdin(packed) })), { code: 'context' });
  });

  for (const flag of ['', '-z', '-j', '-J', '--zstd']) {
    test(`with a tar ${flag || '(plain)'} is a context whose owners count`, async () => {
      write('ctx/Dockerfile', '# in the tar');
      write('ctx/d/f', 'content');
      symlinkSync('d', join(cwd, 'ctx/l'));
      const archive = tar(...(flag ? [flag] : []), '--owner=5', '--group=6', '.');
      await using context = await openContext('-', options({ stdin: stdin(archive) }));
      assert.equal(context.dockerfile.text, '# in the tar');
      assert.deepEqual(names(context.tree), ['Dockerfile', 'd', 'l']);
      const file = context.tree.lookup(bytePath('d/f'));
      assert.deepEqual([file?.uid, file?.gid, file?.size], [5, 6, 7]);
      assert.equal(await textOf(context.tree, 'd/f'), 'content');
      assert.deepEqual(await context.tree.contentDigests(file ? [file] : []), [digestOf('content')]);
      assert.equal(context.tree.lookup(bytePath('l/f')), undefined);
    });
  }
  test('with a tar takes -f from the tar, and its ignore file unless told otherwise', async () => {
    write('ctx/sub/D', '# sub');
    write('ctx/.dockerignore', 'a');
    write('ctx/a', '');
    const archive = tar('.');
    await using context = await openContext('-', options({ stdin: stdin(archive), file: 'sub/D' }));
    assert.equal(context.dockerfile.text, '# sub');
    assert.equal(context.tree.lookup(bytePath('a')), undefined);
    await using all = await openContext(
      '-',
      options({ stdin: stdin(archive), file: 'sub/D', ignoreInRemote: false }),
    );
    assert.ok(all.tree.lookup(bytePath('a')));
    await assert.rejects(openContext('-', options({ stdin: stdin(archive), file: '../../etc/hostname' })), {
      code: 'context',
    });
  });
  test('leaves nothing behind', async () => {
    write('ctx/Dockerfile', '');
    const context = await openContext('-', options({ stdin: stdin(tar('.')) }));
    assert.equal(readdirSync(join(cwd, 'tmp')).length, 1);
    await context[Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(join(cwd, 'tmp')), []);
    await assert.rejects(openContext('-', options({ stdin: stdin(tar('.').subarray(0, 700)) })), {
      code: 'integrity',
    });
    assert.deepEqual(readdirSync(join(cwd, 'tmp')), []);
  });
});

describe('a tar file', () => {
  test('is a context', async () => {
    write('ctx/Dockerfile', '# file');
    write('context.tar.gz', tar('-z', '.'));
    await using context = await openContext('context.tar.gz', options());
    assert.equal(context.dockerfile.text, '# file');
  });
});

describe('a URL', () => {
  const serve = (body: string | Buffer) =>
    options({
      download: async ({ url, to }) => {
        assert.equal(url, 'https://example.com/x');
        writeFileSync(to, body);
        return { size: body.length, digest: digestOf(body) };
      },
    });
  test('of an archive is a context', async () => {
    write('ctx/Dockerfile', '# web');
    await using context = await openContext('https://example.com/x', serve(tar('-z', '.')));
    assert.equal(context.dockerfile.text, '# web');
  });
  test('of a text is a Dockerfile', async () => {
    await using context = await openContext('https://example.com/x', serve('FROM scratch'));
    assert.deepEqual(context.dockerfile, { name: 'https://example.com/x', text: 'FROM scratch' });
  });
  test('can be the Dockerfile of a directory', async () => {
    write('ctx/a', '');
    await using context = await openContext('ctx', { ...serve('FROM web'), file: 'https://example.com/x' });
    assert.equal(context.dockerfile.text, 'FROM web');
    assert.deepEqual(names(context.tree), ['a']);
  });
});
