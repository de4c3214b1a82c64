// Entry of a bytes worker thread (pool.ts): takes one job after the other and answers each. The bundle has this file
// beside its other chunks.
import { parentPort } from 'node:worker_threads';
import { BuildError, errnoOf, messageOf } from '../errors.ts';
import type { Answer, Job, PlainError } from './jobs.ts';
import { perform } from './work.ts';

function plain(error: unknown): PlainError {
  if (error instanceof BuildError) {
    return { code: error.code, message: error.message, hint: error.hint, facts: error.facts };
  }
  return {
    message: messageOf(error),
    errno: errnoOf(error),
    stack: error instanceof Error ? error.stack : undefined,
  };
}

async function answer(job: Job): Promise<Answer> {
  try {
    return { ok: true, value: await perform(job) };
  } catch (error) {
    return { ok: false, error: plain(error) };
  }
}

const port = parentPort;
port?.on('message', (job: Job) => {
  void answer(job).then(result => port.postMessage(result));
});
