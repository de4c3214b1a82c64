import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseMountFlag } from '../../src/dockerfile/mounts.ts';
import { parseSize, type ResolvedMount, resolveMount } from '../../src/dockerfile/resolve-mount.ts';
import { expandWord } from '../../src/dockerfile/words.ts';
import type { Diagnostic } from '../../src/errors.ts';

const file = { name: 'Dockerfile', text: '' };
const range = { file, start: { line: 1, column: 0 }, end: { line: 1, column: 0 } };
const env = new Map([
  ['T', 'tmpfs'],
  ['DIR', '/d'],
  ['N', '7'],
  ['YES', 'true'],
]);

function resolve(raw: string, workdir = '/work') {
  const problems: Diagnostic[] = [];
  const flag = parseMountFlag({ raw, range }, problems);
  assert.deepEqual(problems, []);
  assert.ok(flag !== undefined);
  return resolveMount(flag, value => expandWord(value, env, '\\').value, { workdir });
}

function mountOf(raw: string, workdir?: string): ResolvedMount {
  const result = resolve(raw, workdir);
  assert.ok('mount' in result, JSON.stringify(result));
  return result.mount;
}

function problemOf(raw: string, workdir?: string): string {
  const result = resolve(raw, workdir);
  assert.ok('problem' in result, JSON.stringify(result));
  return result.problem.message;
}

describe('a resolved mount', () => {
  it('is a read-only bind of the whole context by default', () => {
    assert.deepEqual(mountOf('target=/a'), { type: 'bind', source: '/', target: '/a', writable: false });
  });

  it('is writable with rw, and the last of ro and rw counts', () => {
    const writable = (flags: string) => {
      const mount = mountOf(`target=/a,${flags}`);
      return mount.type === 'bind' && mount.writable;
    };
    assert.equal(writable('rw'), true);
    assert.equal(writable('readwrite=1'), true);
    assert.equal(writable('ro=false'), true);
    assert.equal(writable('rw,ro'), false);
    assert.equal(writable('ro,rw'), true);
    assert.equal(writable('rw=$YES'), true);
  });

  it('joins a relative target to the working directory and cleans paths', () => {
    assert.equal(mountOf('target=a/../b/').target, '/work/b');
    assert.equal(mountOf('target=../../../x').target, '/x');
    const mount = mountOf('target=$DIR/./x,source=../../s/.');
    assert.deepEqual(mount, { type: 'bind', source: '/s', target: '/d/x', writable: false });
  });

  it('cannot be at /', () => {
    assert.equal(problemOf('target=/'), 'a mount cannot have / as its target');
    assert.equal(problemOf('target=/.'), 'a mount cannot have / as its target');
    assert.equal(problemOf('target=..'), 'a mount cannot have / as its target');
    assert.equal(problemOf('type=cache', '/'), 'the mount needs a target');
    assert.equal(mountOf('type=cache').target, '/work');
  });

  it('has the defaults of a cache', () => {
    assert.deepEqual(mountOf('type=cache,target=/c/'), {
      type: 'cache',
      id: '/c',
      target: '/c',
      sharing: 'shared',
      source: '/',
      mode: 0o755,
      uid: 0,
      gid: 0,
      readonly: false,
    });
  });

  it('takes all that a cache can have', () => {
    const raw = 'type=cache,id=x$N,target=c,sharing=LOCKED,from=img,source=s,mode=0700,uid=$N,gid=8,ro';
    assert.deepEqual(mountOf(raw), {
      type: 'cache',
      id: 'x7',
      target: '/work/c',
      sharing: 'locked',
      from: 'img',
      source: '/s',
      mode: 0o700,
      uid: 7,
      gid: 8,
      readonly: true,
    });
  });

  it('has a size only as tmpfs, also when the type comes from a variable', () => {
    assert.deepEqual(mountOf('type=tmpfs,target=/t,size=64m'), {
      type: 'tmpfs',
      target: '/t',
      size: 67_108_864,
    });
    assert.deepEqual(mountOf('type=$T,target=/t,size=1k'), { type: 'tmpfs', target: '/t', size: 1024 });
    assert.deepEqual(mountOf('type=tmpfs,target=/t'), { type: 'tmpfs', target: '/t' });
    assert.equal(problemOf('type=${X:-cache},target=/t,size=1k'), 'a cache mount has no size');
    assert.equal(problemOf('type=x$T,target=/t'), 'unknown mount type "xtmpfs"');
  });

  it('names a secret by id, source or target', () => {
    const secret = { type: 'secret', required: false, mode: 0o400, uid: 0, gid: 0 };
    assert.deepEqual(mountOf('type=secret,id=a/b'), { ...secret, id: 'a/b', target: '/run/secrets/b' });
    assert.deepEqual(mountOf('type=secret,src=a'), { ...secret, id: 'a', target: '/run/secrets/a' });
    assert.deepEqual(mountOf('type=secret,target=/x/y'), { ...secret, id: 'y', target: '/x/y' });
    assert.equal(problemOf('type=secret'), 'a secret mount needs an id or a target');
    assert.equal(problemOf('type=secret,env=A'), 'a secret mount needs an id or a target');
    assert.equal(
      problemOf('type=secret,id=a,source=b'),
      'a secret mount has either an id or a source, not both',
    );
  });

  it('makes no file of a secret that is asked for as a variable alone', () => {
    const secret = { type: 'secret', id: 'a', env: 'A', required: true, mode: 0o440, uid: 1, gid: 2 };
    assert.deepEqual(mountOf('type=secret,id=a,env=A,required,mode=0440,uid=1,gid=2'), secret);
    const both = mountOf('type=secret,id=a,env=A,target=f');
    assert.equal(both.type === 'secret' && both.target, '/work/f');
  });

  it('is an agent socket whose place the caller chooses', () => {
    const ssh = { type: 'ssh', id: 'default', required: false, mode: 0o600, uid: 0, gid: 0 };
    assert.deepEqual(mountOf('type=ssh'), ssh);
    assert.deepEqual(mountOf('type=ssh,id=x,target=/s,required=true'), {
      ...ssh,
      id: 'x',
      target: '/s',
      required: true,
    });
    assert.equal(problemOf('type=ssh,source=x'), 'an ssh mount has no source');
  });

  it('is refused for values outside their set', () => {
    assert.equal(problemOf('type=cache,target=/x,sharing=share'), 'unknown sharing mode "share"');
    assert.equal(
      problemOf('type=cache,target=/x,mode=0799'),
      'mode is an octal number such as 0755, not "0799"',
    );
    assert.equal(problemOf('type=cache,target=/x,mode='), 'mode is an octal number such as 0755, not ""');
    assert.equal(problemOf('type=cache,target=/x,uid=root'), 'uid is a number below 4294967296, not "root"');
    assert.equal(
      problemOf('type=cache,target=/x,gid=4294967296'),
      'gid is a number below 4294967296, not "4294967296"',
    );
    assert.equal(problemOf('target=/x,ro=maybe'), 'readonly is true or false, not "maybe"');
    assert.equal(problemOf('type=secret,id=a,required=2'), 'required is true or false, not "2"');
    assert.equal(problemOf('type=tmpfs,target=/x,size=1x'), 'invalid size "1x"');
  });

  it('reports an expansion that fails', () => {
    const result = resolve('target=${NOPE:?set it}');
    assert.ok('problem' in result);
    assert.equal(result.problem.message, 'NOPE: set it');
    assert.equal(result.problem.rule, 'invalid-expansion');
  });
});

describe('a size', () => {
  it('is a number with a unit of powers of 1024', () => {
    for (const [text, bytes] of Object.entries({
      0: 0,
      100: 100,
      '1k': 1024,
      '1 K': 1024,
      '1.5GiB': 1_610_612_736,
      '2mb': 2_097_152,
      '7b': 7,
      '1t': 1024 ** 4,
    })) {
      assert.equal(parseSize(text), bytes, text);
    }
  });

  it('is nothing else', () => {
    for (const text of ['', 'm', '-1', '1x', '1kk', '1  k', '1e3', '0x10', '99999p', '1ib']) {
      assert.equal(parseSize(text), undefined, text);
    }
  });
});
