// The S3 client, which is loaded when somebody uses it: it is large, and few do. It is a package of its own, to be
// installed beside slipway.
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import type { S3Client } from '@aws-sdk/client-s3';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';

export interface S3Bucket {
  readonly bucket: string;
  /** Default: what the environment or the user's AWS configuration says. */
  readonly region?: string;
  /** Of a server that is not Amazon's. */
  readonly endpoint?: string;
  /** The bucket stands in the path rather than in the host name. Default false. */
  readonly pathStyle: boolean;
}

/** Default: what the environment or the user's AWS configuration says. */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface S3Objects {
  /** Bytes of an object; undefined when there is none. */
  size(key: string, signal: AbortSignal): Promise<number | undefined>;
  /** undefined when there is none */
  get(key: string, signal: AbortSignal): Promise<Readable | undefined>;
  put(key: string, bytes: Buffer, signal: AbortSignal): Promise<void>;
  putFile(key: string, path: string, size: number, signal: AbortSignal): Promise<void>;
}

/** @throws BuildError `unsupported` when the client is not installed */
export async function loadS3Client() {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (cause) {
    if (!['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes(errnoOf(cause) ?? '')) throw cause;
    throw new BuildError(
      'unsupported',
      'type=s3 needs the package @aws-sdk/client-s3, which is not installed',
      { hint: 'npm install @aws-sdk/client-s3, where slipway is installed', cause },
    );
  }
}

/** Nothing is contacted yet. @throws BuildError `unsupported` when the client is not installed */
export async function openBucket(
  bucket: S3Bucket,
  credentials: S3Credentials | undefined,
): Promise<S3Objects> {
  const sdk = await loadS3Client();
  const client: S3Client = new sdk.S3Client({
    ...(bucket.region === undefined ? {} : { region: bucket.region }),
    ...(bucket.endpoint === undefined ? {} : { endpoint: bucket.endpoint }),
    ...(credentials ? { credentials } : {}),
    forcePathStyle: bucket.pathStyle,
    // Other servers than Amazon's do not know the newer checksums; digests are checked here.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const Bucket = bucket.bucket;
  const whenThere = async <T>(answer: Promise<T>): Promise<T | undefined> => {
    try {
      return await answer;
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw failure(error, bucket);
    }
  };
  const done = async (answer: Promise<unknown>): Promise<void> => {
    await answer.catch(error => {
      throw failure(error, bucket);
    });
  };
  return {
    async size(Key, abortSignal) {
      const head = client.send(new sdk.HeadObjectCommand({ Bucket, Key }), { abortSignal });
      return (await whenThere(head))?.ContentLength;
    },
    async get(Key, abortSignal) {
      const object = client.send(new sdk.GetObjectCommand({ Bucket, Key }), { abortSignal });
      return (await whenThere(object))?.Body as Readable | undefined;
    },
    put: (Key, Body, abortSignal) =>
      done(client.send(new sdk.PutObjectCommand({ Bucket, Key, Body }), { abortSignal })),
    putFile: (Key, path, ContentLength, abortSignal) =>
      done(
        client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: createReadStream(path), ContentLength }), {
          abortSignal,
        }),
      ),
  };
}

interface Refusal {
  readonly name?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as Refusal;
  return (
    name === 'NoSuchKey' ||
    name === 'NotFound' ||
    (name !== 'NoSuchBucket' && $metadata?.httpStatusCode === 404)
  );
}

function failure(cause: unknown, { bucket, endpoint }: S3Bucket): unknown {
  if (cause instanceof BuildError) return cause;
  const { name, $metadata } = cause as Refusal;
  if (name === 'AbortError') return cause;
  const status = $metadata?.httpStatusCode;
  const where = `the bucket ${printable(bucket)}${endpoint === undefined ? '' : ` at ${printable(endpoint)}`}`;
  const why = printable(messageOf(cause)) || name;
  if (name === 'NoSuchBucket')
    return new BuildError('not-found', `there is no bucket ${printable(bucket)}`, { cause });
  const isAuth = status === 401 || status === 403 || name === 'CredentialsProviderError';
  return new BuildError(isAuth ? 'auth' : 'network', `${where} cannot be used: ${why}`, {
    cause,
    facts: { status },
    ...(isAuth ? { hint: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY' } : {}),
  });
}
