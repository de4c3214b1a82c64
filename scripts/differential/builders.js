// The two builders that are compared, each as: context and flags in, image or refusal out.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './cases.js';
import { readImage } from './image.js';

/**
 * @typedef {object} Built
 * @property {object} [image] of readImage
 * @property {string} [refused] what the builder said
 */

const docker = (process.env.DIFF_DOCKER ?? 'docker').split(' ');
const slipway = (
  process.env.DIFF_SLIPWAY ?? `${process.execPath} ${join(repository, 'bin/slipway.js')}`
).split(' ');

/** Docker with BuildKit; DIFF_DOCKER is its command line. @returns {Promise<Built>} */
export async function buildWithDocker({ name, context, flags, dir }) {
  const tag = `slipway-differential:${name}`;
  const tar = join(dir, `${name}.docker.tar`);
  const env = { ...process.env, DOCKER_BUILDKIT: '1', BUILDX_NO_DEFAULT_ATTESTATIONS: '1' };
  const options = ['--no-cache', '--progress=plain', '--network=host', '-t', tag];
  const built = await run([...docker, 'build', ...options, ...flags, context], env);
  if (built.status !== 0) return { refused: refusal(built.stderr) };
  try {
    const saved = await run([...docker, 'save', '-o', tar, tag], env);
    if (saved.status === 0) return { image: readImage(tar) };
    if (!saved.stderr.includes('empty export')) throw new Error(`docker save: ${saved.stderr}`);
    return { image: await imageWithoutLayers(tag, env) };
  } finally {
    rmSync(tar, { force: true });
    await run([...docker, 'rmi', tag], env);
  }
}

/** slipway with its store at `store`; DIFF_SLIPWAY is its command line. @returns {Promise<Built>} */
export async function buildWithSlipway({ name, context, flags, dir, store }) {
  const tar = join(dir, `${name}.slipway.tar`);
  const env = { ...process.env, SLIPWAY_ROOT: store, DOCKER_CONFIG: join(dir, 'docker-config') };
  const options = ['--no-cache', '--progress=plain', '-o', `type=docker,dest=${tar}`];
  const built = await run([...slipway, 'build', ...options, ...flags, context], env);
  if (built.status === 1 || built.status === 2) return { refused: refusal(built.stderr) };
  if (built.status !== 0) throw new Error(`slipway ended with ${built.status}:\n${built.stderr}`);
  const image = readImage(tar);
  rmSync(tar);
  return { image };
}

/** The line that tells most. */
function refusal(text) {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  return (lines.findLast(line => /^ERROR:/.test(line)) ?? lines[lines.length - 1] ?? '').trim();
}

/** What an engine that cannot save an image without layers tells of it. */
async function imageWithoutLayers(tag, env) {
  const [inspected] = JSON.parse(await must([...docker, 'image', 'inspect', tag], env));
  const format = ['--no-trunc', '--format', '{{json .}}'];
  const lines = (await must([...docker, 'history', ...format, tag], env)).split('\n');
  const history = lines
    .filter(line => line !== '')
    .reverse()
    .map(line => ({ created_by: JSON.parse(line).CreatedBy, empty_layer: true }));
  const { Architecture: architecture, Os: os, Variant: variant, Author: author, Config: config } = inspected;
  return { config: { architecture, os, variant, author, config, history }, layers: [] };
}

async function must(argv, env) {
  const ended = await run(argv, env);
  if (ended.status !== 0) throw new Error(`${argv.join(' ')} ended with ${ended.status}:\n${ended.stderr}`);
  return ended.stdout;
}

function run([program, ...args], env) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err] = [[], []];
  child.stdout.on('data', chunk => out.push(chunk));
  child.stderr.on('data', chunk => err.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', status =>
      resolve({ status, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}
