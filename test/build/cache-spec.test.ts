// --cache-from and --cache-to: what is understood, and what is said about the rest.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseCacheSource, parseCacheTarget } from '../../src/build/cache-spec.ts';
import { BuildError } from '../../src/errors.ts';
import { formatReference } from '../../src/image/reference.ts';

/** References as text. */
const plain = (spec: object) =>
  Object.fromEntries(
    Object.entries(spec).map(([key, value]) => [key, key === 'ref' ? formatReference(value) : value]),
  );

const writing = { mode: 'min', compression: 'gzip', force: false, ignoreError: false };

describe('--cache-from', () => {
  const understood: [string, object][] = [
    ['r.example/team/app', { kind: 'registry', ref: 'r.example/team/app:latest' }],
    ['app:cache', { kind: 'registry', ref: 'docker.io/library/app:cache' }],
    ['type=registry,ref=r.example/app:1', { kind: 'registry', ref: 'r.example/app:1' }],
    ['type=local,src=/tmp/x', { kind: 'local', src: '/tmp/x' }],
    ['type=local,"src=a,b",tag=main', { kind: 'local', src: 'a,b', tag: 'main' }],
    [
      `type=local,src=x,digest=sha256:${'a'.repeat(64)}`,
      { kind: 'local', src: 'x', digest: `sha256:${'a'.repeat(64)}` },
    ],
  ];
  for (const [text, spec] of understood) {
    it(`understands ${text.slice(0, 50)}`, () => assert.deepEqual(plain(parseCacheSource(text)), spec));
  }
});

describe('--cache-to', () => {
  const understood: [string, object][] = [
    ['r.example/app:cache', { kind: 'registry', ref: 'r.example/app:cache', ...writing }],
    [
      'type=registry,ref=r.example/app:c,mode=max',
      { kind: 'registry', ref: 'r.example/app:c', ...writing, mode: 'max' },
    ],
    [
      'type=registry,ref=r.example/app,compression=zstd,compression-level=19,force-compression=true,ignore-error=1',
      {
        kind: 'registry',
        ref: 'r.example/app:latest',
        mode: 'min',
        compression: 'zstd',
        level: 19,
        force: true,
        ignoreError: true,
      },
    ],
    [
      'type=registry,ref=r.example/a,oci-mediatypes=true,image-manifest=true',
      { kind: 'registry', ref: 'r.example/a:latest', ...writing },
    ],
    [
      'type=local,dest=out,tag=t,reset=true',
      { kind: 'local', dest: 'out', tag: 't', reset: true, ...writing },
    ],
    ['type=inline', { kind: 'inline' }],
    ['type=inline,mode=min', { kind: 'inline' }],
  ];
  for (const [text, spec] of understood) {
    it(`understands ${text}`, () => assert.deepEqual(plain(parseCacheTarget(text)), spec));
  }
});

describe('type=s3', () => {
  const location = {
    bucket: 'b',
    pathStyle: false,
    prefix: '',
    blobsPrefix: 'blobs/',
    manifestsPrefix: 'manifests/',
  };

  it('is understood with what is usual', () => {
    assert.deepEqual(parseCacheSource('type=s3,bucket=b'), { kind: 's3', location, name: 'slipway' });
  });

  it('is understood with all keys', () => {
    const text =
      'type=s3,bucket=b,region=eu,endpoint_url=http://s:1,use_path_style=true,prefix=p/,blobs_prefix=x/,manifests_prefix=y/,name=n,access_key_id=i,secret_access_key=s,session_token=t,mode=max';
    assert.deepEqual(parseCacheTarget(text), {
      kind: 's3',
      location: {
        bucket: 'b',
        region: 'eu',
        endpoint: 'http://s:1',
        pathStyle: true,
        prefix: 'p/',
        blobsPrefix: 'x/',
        manifestsPrefix: 'y/',
      },
      name: 'n',
      credentials: { accessKeyId: 'i', secretAccessKey: 's', sessionToken: 't' },
      ...writing,
      mode: 'max',
    });
  });
});

describe('what cannot be done', () => {
  const refused: [typeof parseCacheSource | typeof parseCacheTarget, string, string, RegExp][] = [
    [parseCacheSource, 'type=inline', 'usage', /found by its name/],
    [parseCacheSource, 'type=registry', 'usage', /needs ref/],
    [parseCacheSource, 'type=local', 'usage', /needs src/],
    [parseCacheSource, 'type=local,src=', 'usage', /needs src/],
    [parseCacheSource, 'type=gha', 'unsupported', /type=gha is not supported/],
    [parseCacheSource, 'type=azblob,name=x', 'unsupported', /type=azblob is not supported/],
    [parseCacheSource, 'type=redis', 'usage', /there is no type "redis"/],
    [parseCacheSource, 'type=constructor', 'usage', /there is no type/],
    [parseCacheSource, 'ref=x', 'usage', /it has no type/],
    [parseCacheSource, 'type=local,src=x,scr=y', 'usage', /no key "scr"/],
    [parseCacheSource, 'type=local,src=x,mode=max', 'usage', /no key "mode"/],
    [parseCacheSource, 'type=local,src=x,digest=md5:1', 'integrity', /valid digest/],
    [parseCacheSource, '', 'usage', /names no cache/],
    [parseCacheSource, 'a,b', 'usage', /names no cache/],
    [parseCacheSource, 'type=local,"src=x', 'usage', /quote/],
    [parseCacheTarget, 'type=registry,ref=x,mode=mid', 'usage', /neither min nor max/],
    [parseCacheTarget, 'type=registry,ref=x,compression=lz4', 'usage', /no compression/],
    [parseCacheTarget, 'type=registry,ref=x,compression-level=10', 'usage', /from 0 to 9/],
    [parseCacheTarget, 'type=registry,ref=x,ignore-error=maybe', 'usage', /neither true nor false/],
    [parseCacheTarget, 'type=registry,ref=x,image-manifest=false', 'unsupported', /image-manifest=false/],
    [parseCacheTarget, 'type=registry,ref=x,oci-mediatypes=false', 'unsupported', /oci-mediatypes=false/],
    [parseCacheTarget, 'type=registry,ref=x,ref=y', 'usage', /given twice/],
    [parseCacheTarget, `type=registry,ref=x@sha256:${'a'.repeat(64)}`, 'usage', /digest/],
    [parseCacheTarget, 'type=local,dest=x,tag=a/b', 'usage', /no tag/],
    [parseCacheTarget, 'type=inline,mode=max', 'usage', /own steps only/],
    [parseCacheTarget, 'type=s3', 'usage', /needs bucket/],
    [parseCacheTarget, 'type=s3,bucket=x,endpoint_url=ftp://x', 'usage', /no http or https URL/],
    [
      parseCacheTarget,
      'type=s3,bucket=x,access_key_id=x',
      'usage',
      /type=s3,\.\.\.: access_key_id and secret/,
    ],
    [parseCacheTarget, 'type=s3,bucket=x,touch_refresh=24h', 'usage', /no key "touch_refresh"/],
  ];
  for (const [parse, text, code, message] of refused) {
    it(`${parse === parseCacheSource ? 'from' : 'to'} ${text || 'nothing'}`, () => {
      assert.throws(
        () => parse(text),
        (error: unknown) => {
          assert.ok(error instanceof BuildError);
          assert.equal(error.code, code);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
