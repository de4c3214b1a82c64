// Two results in canonical form -> the differences, as sentences. What differs on purpose is in wanted.js.
import { isDeepStrictEqual } from 'node:util';
import { wanted } from './wanted.js';

/**
 * @param {string} name of the case
 * @param {object} docker `{config, history, files}` or `{refused}`
 * @param {object} slipway the same
 * @returns {string[]} empty when they are the same
 */
export function compare(name, docker, slipway) {
  if (docker.refused !== undefined && slipway.refused !== undefined) return [];
  const found =
    docker.refused !== undefined
      ? [{ what: 'refusal', docker: docker.refused }]
      : slipway.refused !== undefined
        ? [{ what: 'refusal', slipway: slipway.refused }]
        : [...ofConfig(docker, slipway), ...ofHistory(docker, slipway), ...ofFiles(docker, slipway)];
  return found
    .filter(difference => !wanted.some(rule => rule.allows(difference, name)))
    .map(
      ({ what, docker: theirs, slipway: ours }) =>
        `${what}\n  docker:  ${show(theirs)}\n  slipway: ${show(ours)}`,
    );
}

function show(value) {
  return value === undefined ? '-' : typeof value === 'string' ? value : JSON.stringify(value);
}

function ofConfig(docker, slipway) {
  return keys(docker.config, slipway.config)
    .filter(key => !isDeepStrictEqual(docker.config[key], slipway.config[key]))
    .map(key => ({ what: `config ${key}`, docker: docker.config[key], slipway: slipway.config[key] }));
}

function ofHistory(docker, slipway) {
  const length = Math.max(docker.history.length, slipway.history.length);
  return Array.from({ length }, (_, i) => ({
    what: `history ${i + 1}`,
    docker: docker.history[i],
    slipway: slipway.history[i],
  })).filter(({ docker: theirs, slipway: ours }) => !isDeepStrictEqual(theirs, ours));
}

function ofFiles(docker, slipway) {
  return keys(docker.files, slipway.files)
    .map(path => ({ what: `file ${path}`, docker: docker.files[path], slipway: slipway.files[path] }))
    .filter(({ docker: theirs, slipway: ours }) => theirs !== ours && !sameButTime(theirs, ours));
}

/** Docker defines no time for what it makes itself, so whatever slipway writes there is right. */
function sameButTime(theirs, ours) {
  return (
    theirs !== undefined && ours !== undefined && !theirs.includes(' @') && ours.split(' @')[0] === theirs
  );
}

function keys(a, b) {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
}
