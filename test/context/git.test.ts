import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { openDirectory } from '../../src/context/dir.ts';
import { fetchGit, type GitOptions } from '../../src/context/git.ts';
import { parseGitUrl } from '../../src/context/git-url.ts';
import { openContext } from '../../src/context/open.ts';
import { bytePath } from '../../src/tree/entry.ts';
import { commitAll, type GitServer, git, newRepository, startGitServer } from '../support/git-server.ts';

const base = mkdtempSync(join(tmpdir(), 'slipway-git-'));
let server: GitServer;
let first = '';
let second = '';
let work = base;
let count = 0;

before(async () => {
  const repository = newRepository(base, 'app');
  writeFileSync(join(repository, 'Dockerfile'), '# one');
  mkdirSync(join(repository, 'sub'));
  writeFileSync(join(repository, 'sub/run'), 'x', { mode: 0o700 });
  symlinkSync('/', join(repository, 'out'));
  first = commitAll(repository, 'one');
  git(repository, 'tag', '-a', 'v1', '-m', 'annotated');
  writeFileSync(join(repository, 'Dockerfile'), '# two');
  writeFileSync(join(repository, 'sub/Dockerfile'), '# sub');
  second = commitAll(repository, 'two');
  git(repository, 'branch', 'same');
  git(repository, 'tag', 'same', first);
  git(repository, 'checkout', '-q', '-b', 'feature/x', first);
  git(repository, 'checkout', '-q', 'main');
  server = await startGitServer(base);
});
after(async () => {
  await server.close();
  rmSync(base, { recursive: true, force: true });
});
beforeEach(() => {
  work = join(base, `work${++count}`);
  mkdirSync(work);
});

async function fetch(rest: string, extra: Partial<GitOptions> = {}, repository = 'app') {
  const source = parseGitUrl(`${server.url}/${repository}${rest}`);
  assert.ok(source);
  return fetchGit(source, { dir: work, env: {}, signal: new AbortController().signal, ...extra });
}

describe('a commit of a git repository', () => {
  const cases: [string, () => string][] = [
    ['', () => second],
    ['#main', () => second],
    ['#v1', () => first],
    ['#feature/x', () => first],
    ['#same', () => first],
    ['?branch=same', () => second],
    ['?tag=same', () => first],
    ['#refs/heads/main', () => second],
  ];
  for (const [rest, expected] of cases) {
    test(`for "${rest}" is checked out`, async () => {
      const checkout = await fetch(rest);
      assert.equal(checkout.commit, expected());
      const text = expected() === first ? '# one' : '# two';
      assert.equal(readFileSync(join(checkout.root, 'Dockerfile'), 'utf8'), text);
      assert.equal(existsSync(join(checkout.root, '.git')), false);
    });
  }
  test('is found by its id, on a server that gives ids away or not', async () => {
    assert.equal((await fetch(`#${first}`)).commit, first);
    git(join(base, 'app'), 'config', 'uploadpack.allowAnySHA1InWant', 'false');
    try {
      work = join(work, 'again');
      mkdirSync(work);
      assert.equal((await fetch(`#${first}`)).commit, first);
    } finally {
      git(join(base, 'app'), 'config', 'uploadpack.allowAnySHA1InWant', 'true');
    }
  });
  test('must have the checksum that is asked for', async () => {
    assert.equal((await fetch(`?tag=v1&checksum=${first}`)).commit, first);
    work = join(work, 'again');
    mkdirSync(work);
    await assert.rejects(fetch(`?branch=main&checksum=${first}`), {
      code: 'integrity',
      facts: { expected: first, found: second },
    });
  });
  test('that is not there is an error with the name of the ref', async () => {
    await assert.rejects(fetch('#none'), { code: 'not-found', message: /no branch or tag none/ });
    work = join(work, 'again');
    mkdirSync(work);
    await assert.rejects(fetch('', {}, 'nowhere'), {
      code: 'network',
      message: /git fetch from git:\/\/127\.0\.0\.1/,
    });
  });
  test('has modes 0644 and 0755 whatever the umask, and the time of the commit when asked', async () => {
    const umask = process.umask(0o077);
    try {
      const checkout = await fetch('?mtime=commit');
      const tree = openDirectory(checkout.root, checkout.look);
      const modes = ['Dockerfile', 'sub', 'sub/run', 'out'].map(path =>
        tree.lookup(bytePath(path))?.mode.toString(8),
      );
      assert.deepEqual(modes, ['644', '755', '755', '777']);
      assert.equal(tree.lookup(bytePath('sub/run'))?.mtimeSec, 1_600_000_000);
    } finally {
      process.umask(umask);
    }
  });
  test('keeps .git when asked, with its origin', async () => {
    const { root } = await fetch('', { keepGitDir: true });
    assert.equal(git(root, 'config', 'remote.origin.url'), `${server.url}/app`);
    assert.equal(git(root, 'rev-parse', 'HEAD'), second);
  });
  test('gives a directory of it, never one behind a link', async () => {
    const { root } = await fetch('#:sub');
    assert.equal(readFileSync(join(root, 'run'), 'utf8'), 'x');
    for (const [rest, code] of [
      ['#:out', 'hostile'],
      ['#:out/etc', 'not-found'],
      ['#:Dockerfile', 'not-found'],
      ['#:none', 'not-found'],
    ] as const) {
      work = join(work, 'next');
      mkdirSync(work);
      await assert.rejects(fetch(rest), { code });
    }
  });
});

describe('a git repository as context', () => {
  test('has its Dockerfile in the directory asked for, and leaves nothing behind', async () => {
    const context = await openContext(`${server.url}/app#main:sub`, {
      cwd: base,
      tmp: work,
      signal: new AbortController().signal,
    });
    assert.equal(context.dockerfile.text, '# sub');
    assert.equal(context.tree.lookup(bytePath('run'))?.mode, 0o755);
    await context[Symbol.asyncDispose]();
    assert.deepEqual(openDirectory(work).list('' as never), []);
  });
});

describe('a hostile git repository', () => {
  const canary = () => join(base, `canary${count}`);
  test('cannot have its submodule taken from this machine', async () => {
    newRepository(base, 'secret');
    writeFileSync(join(base, 'secret/file'), 'secret');
    commitAll(join(base, 'secret'), 'secret');
    const repository = newRepository(base, 'stealing');
    git(repository, 'submodule', '-q', 'add', join(base, 'secret'), 'mod');
    commitAll(repository, 'steal');
    await assert.rejects(fetch('', {}, 'stealing'), {
      code: 'hostile',
      message: /transport 'file' not allowed/,
    });
  });
  test('brings its submodules from the network, without .git', async () => {
    const repository = newRepository(base, 'parent');
    git(repository, 'submodule', '-q', 'add', `${server.url}/app`, 'mod');
    commitAll(repository, 'with a submodule');
    const { root } = await fetch('', {}, 'parent');
    assert.equal(readFileSync(join(root, 'mod/Dockerfile'), 'utf8'), '# two');
    assert.equal(existsSync(join(root, 'mod/.git')), false);
    work = join(work, 'without');
    mkdirSync(work);
    const without = await fetch('?submodules=false', {}, 'parent');
    assert.equal(existsSync(join(without.root, 'mod/Dockerfile')), false);
  });
  test('does not reach the configuration, hooks and filters of who runs it', async () => {
    const home = join(base, `home${count}`);
    mkdirSync(join(home, 'templates/hooks'), { recursive: true });
    const script = `#!/bin/sh\ntouch ${canary()}\n`;
    writeFileSync(join(home, 'evil'), script, { mode: 0o755 });
    writeFileSync(join(home, 'templates/hooks/post-checkout'), script, { mode: 0o755 });
    writeFileSync(
      join(home, '.gitconfig'),
      `[core]\n\tfsmonitor = ${home}/evil\n\thooksPath = ${home}/templates/hooks\n[init]\n\ttemplateDir = ${home}/templates\n` +
        `[filter "x"]\n\tsmudge = ${home}/evil\n\trequired = true\n[url "ext::${home}/evil "]\n\tinsteadOf = ${server.url}\n`,
    );
    const repository = newRepository(base, 'filtered');
    writeFileSync(join(repository, '.gitattributes'), '* filter=x\n');
    writeFileSync(join(repository, 'f'), 'plain');
    commitAll(repository, 'filtered');
    const before = process.env.HOME;
    process.env.HOME = home;
    try {
      const env = {
        HOME: home,
        GIT_CONFIG_GLOBAL: join(home, '.gitconfig'),
        GIT_TEMPLATE_DIR: join(home, 'templates'),
      };
      const { root } = await fetch('', { env }, 'filtered');
      assert.equal(readFileSync(join(root, 'f'), 'utf8'), 'plain');
    } finally {
      process.env.HOME = before;
    }
    assert.equal(existsSync(canary()), false);
  });
  test('is not left readable by others', async () => {
    const { root } = await fetch('');
    assert.equal(statSync(root).mode & 0o777, 0o700);
  });
});
