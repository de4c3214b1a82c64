// Differences from Docker that are wanted, each narrow and with its reason in docs/differences.md under the same name.

/**
 * @typedef {object} Rule
 * @property {string} name the heading in docs/differences.md
 * @property {(difference: {what: string, docker: any, slipway: any}, name: string) => boolean} allows
 */

/** @type {readonly Rule[]} */
export const wanted = [
  {
    name: 'A step that changes nothing makes no layer',
    allows: ({ what, docker, slipway }) =>
      what.startsWith('history') &&
      docker?.layer === 'unchanged' &&
      slipway?.layer === 'none' &&
      docker.by === slipway.by,
  },
];
