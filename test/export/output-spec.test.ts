import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BuildError } from '../../src/errors.ts';
import { parseOutput } from '../../src/export/output-spec.ts';

const plain = {
  forceCompression: false,
  ociMediaTypes: true,
  annotations: {},
  indexAnnotations: {},
};

const understood: [string, unknown][] = [
  ['out', { kind: 'local', dest: 'out' }],
  ['a=b', { kind: 'local', dest: 'a=b' }],
  ['-', { kind: 'tar', dest: '-' }],
  ['type=local,dest=out', { kind: 'local', dest: 'out' }],
  ['type=local,dest=out,mode=copy', { kind: 'local', dest: 'out' }],
  ['type=local,dest=out,mode=delete', { kind: 'local', dest: 'out', mode: 'delete' }],
  ['type=tar', { kind: 'tar', dest: '-' }],
  ['type=oci', { kind: 'oci', dest: '-', tar: true, ...plain }],
  ['type=oci,dest=x.tar', { kind: 'oci', dest: 'x.tar', tar: true, ...plain }],
  ['type=oci,tar=false,dest=d', { kind: 'oci', dest: 'd', tar: false, ...plain }],
  ['"type=oci","dest=a,b"', { kind: 'oci', dest: 'a,b', tar: true, ...plain }],
  ['TYPE=oci, dest=x', { kind: 'oci', dest: 'x', tar: true, ...plain }],
  ['type=docker,dest=-', { kind: 'docker', dest: '-', ...plain }],
  ['type=cacheonly', { kind: 'cacheonly' }],
  ['type=registry', { kind: 'registry', byDigest: false, ...plain }],
  [
    'type=image,push=true,name=app',
    { kind: 'image', push: true, byDigest: false, names: ['docker.io/library/app:latest'], ...plain },
  ],
  [
    'type=registry,"name=a:1,r.io/b"',
    { kind: 'registry', byDigest: false, names: ['docker.io/library/a:1', 'r.io/b:latest'], ...plain },
  ],
  [
    'type=oci,compression=zstd,compression-level=22,force-compression=1,oci-mediatypes=F',
    {
      kind: 'oci',
      dest: '-',
      tar: true,
      ...plain,
      compression: 'zstd',
      level: 22,
      forceCompression: true,
      ociMediaTypes: false,
    },
  ],
  [
    'type=oci,annotation.Some.Key=a=b,annotation-manifest.m=1,annotation-index.i=2',
    {
      kind: 'oci',
      dest: '-',
      tar: true,
      ...plain,
      annotations: { 'Some.Key': 'a=b', m: '1' },
      indexAnnotations: { i: '2' },
    },
  ],
];

const refused: [string, string, RegExp][] = [
  ['', 'usage', /empty/],
  ['dest=x,tar=false', 'usage', /no type/],
  ['type=ocy', 'usage', /did you mean oci/],
  ['type=whatever', 'usage', /docker, oci/],
  ['type=oci,dset=x', 'usage', /did you mean dest/],
  ['type=local,dest=x,mode=sync', 'usage', /the modes are copy and delete/],
  ['type=local,dest=x,compression=gzip', 'usage', /its keys are dest/],
  ['type=local', 'usage', /dest=DIRECTORY/],
  ['type=local,dest=-', 'usage', /type=tar/],
  ['type=docker', 'usage', /docker load/],
  ['type=docker,dest=x,tar=false', 'usage', /type=oci,tar=false/],
  ['type=oci,tar=false', 'usage', /needs a destination/],
  ['type=oci,tar=false,dest=-', 'usage', /directory/],
  ['type=oci,tar=maybe', 'usage', /neither true nor false/],
  ['type=oci,', 'usage', /comma too many/],
  ['type=oci,dest=', 'usage', /not a path/],
  ['type=oci,dest=a,dest=b', 'usage', /twice/],
  ['type=oci,compression=lz4', 'usage', /lz4/],
  ['type=oci,compression=estargz', 'unsupported', /estargz/],
  ['type=oci,compression-level=10', 'usage', /0 to 9/],
  ['type=oci,compression=zstd,compression-level=-1', 'usage', /0 to 22/],
  ['type=oci,name=UPPER', 'usage', /lower case/],
  ['type=oci,"dest=x', 'usage', /quote/],
  ['type=oci,rewrite-timestamp=true', 'unsupported', /SOURCE_DATE_EPOCH/],
  ['type=oci,annotation-index-descriptor.x=1', 'unsupported', /annotation/],
];

describe('an output', () => {
  for (const [text, spec] of understood) {
    it(`"${text}" is understood`, () => assert.deepEqual(parseOutput(text), spec));
  }

  for (const [text, code, pattern] of refused) {
    it(`"${text}" is refused with advice`, () => {
      assert.throws(
        () => parseOutput(text),
        (error: unknown) => {
          assert.ok(error instanceof BuildError);
          assert.equal(error.code, code);
          assert.match(`${error.message} ${error.hint ?? ''}`, pattern);
          return true;
        },
      );
    });
  }
});
