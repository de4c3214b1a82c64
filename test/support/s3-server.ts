// A real S3-compatible server for a test: OpenStack Swift, from Debian's packages.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { repoRoot } from './repo.ts';

export interface S3Server {
  readonly endpoint: string;
  /** For a program. */
  readonly env: Readonly<Record<string, string>>;
  makeBucket(name: string): Promise<void>;
  keys(bucket: string): Promise<readonly string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

const keys = { accessKeyId: 'test:tester', secretAccessKey: 'testing' };

export async function startS3Server(): Promise<S3Server> {
  const dir = mkdtempSync(join(tmpdir(), 'slipway-s3-'));
  // Debian's own python: another one does not have Debian's modules.
  const child = spawn('/usr/bin/python3', [join(repoRoot, 'test/support/s3-server.py'), dir], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()));
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-16_384);
    });
  }
  const stop = async () => {
    child.stdin.end();
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', () => {
      const found = /^port (\d+)$/m.exec(said)?.[1];
      if (found) resolve(found);
    });
    child.once('close', () =>
      reject(new Error(`swift did not start (apt-get install swift python3-swift): ${said}`)),
    );
  });
  const endpoint = `http://127.0.0.1:${port}`;
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: keys,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  return {
    endpoint,
    env: {
      AWS_ACCESS_KEY_ID: keys.accessKeyId,
      AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
      AWS_REGION: 'us-east-1',
    },
    async makeBucket(name) {
      await client.send(new CreateBucketCommand({ Bucket: name }));
    },
    async keys(bucket) {
      const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
      return Contents.flatMap(({ Key }) => Key ?? []);
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      await stop();
    },
  };
}
