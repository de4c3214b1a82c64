// Builds the Dockerfiles of test/corpus/differential with slipway and compares config, history and every file with what
// Docker (BuildKit) makes of them:
//   node scripts/differential.js [--recorded|--live|--record] [--json] [--keep] [word ...]
//     --recorded  with what --record wrote (default; needs no Docker)
//     --live      with a Docker engine at hand; DIFF_DOCKER is its command line (default: docker)
//     --record    writes docker.json of each case
//     --json      one line for each case: {"case": name, "differences": [text]}
// Needs root, the bases busybox and debian in a registry that both find, and contexts below $TMPDIR that the engine sees.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWithDocker, buildWithSlipway } from './differential/builders.js';
import { caseNames, corpus, forget, prepare, recorded } from './differential/cases.js';
import { compare } from './differential/compare.js';
import { canonical } from './differential/image.js';

const flags = process.argv.slice(2).filter(word => word.startsWith('--'));
const words = process.argv.slice(2).filter(word => !word.startsWith('--'));
const mode = ['--live', '--record'].find(flag => flags.includes(flag)) ?? '--recorded';
const baseNames = ['busybox'];

const dir = mkdtempSync(join(tmpdir(), 'slipway-differential-'));
const store = join(dir, 'store');
let failed = 0;
try {
  const builders = mode === '--record' ? [docker] : mode === '--live' ? [docker, slipway] : [slipway];
  for (const builder of builders) builder.bases = await readBases(builder);
  const names = caseNames(words);
  const work = names.values();
  await Promise.all([1, 2].map(() => through(work)));
  if (!flags.includes('--json')) console.log(`${names.length} cases, ${failed} differ`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  if (flags.includes('--keep')) console.log(dir);
  else forget(dir);
}

async function through(work) {
  for (const name of work) {
    const differences = await oneCase(name).catch(error => [`error: ${error.message}`]);
    if (differences.length > 0) failed++;
    if (flags.includes('--json')) console.log(JSON.stringify({ case: name, differences }));
    else if (differences.length > 0) console.log(`== ${name}\n${differences.join('\n')}`);
  }
}

/** @returns {Promise<string[]>} differences */
async function oneCase(name) {
  // BuildKit takes files of a context with the name, size and time of an earlier one for the same: no name twice.
  const place = join(dir, `${name}-${process.pid}`);
  const { context, flags: buildFlags, expect } = prepare(name, place);
  const input = { name, context, flags: buildFlags, dir, store };
  let theirs = mode === '--recorded' ? recorded(name) : await result(docker, input);
  const tooOld = expect === 'newer' && theirs?.refused !== undefined;
  if (tooOld) theirs = recorded(name);
  if (theirs === undefined) return ['there is no docker.json: run with --record'];
  if ((theirs.refused !== undefined) !== (expect === 'refused'))
    return [
      theirs.refused === undefined ? 'docker does not refuse it' : `docker refuses it: ${theirs.refused}`,
    ];
  if (mode === '--record') {
    if (tooOld) return [];
    writeFileSync(join(corpus, name, 'docker.json'), `${JSON.stringify(theirs, null, 1)}\n`);
    return [];
  }
  return compare(name, theirs, await result(slipway, input));
}

function docker(input) {
  return buildWithDocker(input);
}

function slipway(input) {
  return buildWithSlipway(input);
}

/** @returns {Promise<object>} `{config, history, files}` or `{refused}` */
async function result(builder, input) {
  const now = Date.now() / 1000;
  const built = await builder(input);
  if (built.image === undefined) return { refused: built.refused.replaceAll(input.context, '.') };
  return canonical(built.image, builder.bases, now);
}

async function readBases(builder) {
  const bases = [];
  for (const name of baseNames) {
    const context = join(dir, `base-${name}`);
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), `FROM ${name}\n`);
    const built = await builder({ name: `base-${name}`, context, flags: [], dir, store });
    if (built.image === undefined) throw new Error(`the base ${name}: ${built.refused}`);
    bases.push(built.image);
    forget(context);
  }
  return bases;
}
