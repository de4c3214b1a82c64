// The corpus of the differential test: test/corpus/differential/<case>/, each a build context with, beside its files,
//   args        flags of the build, one a line; $DIR is the context's place; a line without a dash is the context itself
//   expect      the word `refused` when both builders must refuse; `newer` when an engine may refuse because its BuildKit
//               is too old: then docker.json is slipway's own result, reviewed against BuildKit's documentation
//   prepare.sh  makes in the context what a repository cannot hold: links, devices, odd names, archives
//   docker.json what Docker made of it
// None of these four is part of the context that is built.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const corpus = join(repository, 'test/corpus/differential');
/** The time of every file whose case does not set another: 2024-02-03T04:05:06Z. */
const time = '1706933106';

/** @param {readonly string[]} words names that contain one of them; none: all @returns {string[]} sorted */
export function caseNames(words) {
  return readdirSync(corpus, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)
    .filter(name => words.length === 0 || words.some(word => name.includes(word)))
    .sort();
}

/**
 * Copies a case to `dir` (which must not exist), makes modes and times the same on every machine, and prepares it.
 * @returns {{flags: string[], context: string, expect: 'built' | 'refused' | 'newer'}}
 */
export function prepare(name, dir) {
  const from = join(corpus, name);
  const script = [
    'umask 022; cp -a "$1" "$2"; cd "$2"; chown -Rh 0:0 .',
    'find . -type d -exec chmod 755 {} +; find . -type f -perm /100 -exec chmod 755 {} +',
    'find . -type f ! -perm /100 -exec chmod 644 {} +; touch -d @1 "$2.stamp"',
    'find . -exec touch -h -d @$3 {} +',
    'if [ -x prepare.sh ]; then touch -d "1 minute ago" "$2.stamp"; ./prepare.sh >&2; fi',
    'rm -f args expect prepare.sh docker.json',
    'find . -newer "$2.stamp" -exec touch -h -d @$3 {} +; touch -d @$3 .; rm "$2.stamp"',
  ].join('\n');
  execFileSync('sh', ['-euc', script, 'sh', from, dir, time], { stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = existsSync(join(from, 'args')) ? readFileSync(join(from, 'args'), 'utf8').split('\n') : [];
  const words = lines.filter(line => line !== '').map(line => line.replaceAll('$DIR', dir));
  const expectFile = join(from, 'expect');
  return {
    flags: words.filter(word => word.startsWith('-')),
    context: words.find(word => !word.startsWith('-')) ?? dir,
    expect: existsSync(expectFile) ? readFileSync(expectFile, 'utf8').trim() : 'built',
  };
}

/** @param {string} name @returns {object | undefined} what --record wrote */
export function recorded(name) {
  const path = join(corpus, name, 'docker.json');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

export function forget(dir) {
  rmSync(dir, { recursive: true, force: true });
}
