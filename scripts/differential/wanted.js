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
  {
    name: 'Directories that COPY --chmod makes do not lose bits to a daemon',
    allows: ({ what, docker, slipway }, name) =>
      ['copy-chmod-octal', 'copy-chmod-of-the-directory-itself'].includes(name) &&
      what.startsWith('file ') &&
      withoutTime(docker) === withoutTime(slipway).replace(/^dir 777 /, 'dir 755 '),
  },
  {
    name: 'COPY --link does not look at what is below',
    allows: ({ what }, name) =>
      (name === 'copy-link' && what === 'file /tmp') ||
      (name === 'copy-link-over-existing' &&
        ['file /dir', 'file /dirlink', 'file /dirlink/a', 'file /real/a'].includes(what)),
  },
  {
    name: 'An owner that the image does not know is an error',
    allows: ({ what, docker, slipway }, name) =>
      ['chown-name-unknown', 'chown-name-in-scratch'].includes(name) &&
      what === 'refusal' &&
      docker === undefined &&
      slipway !== undefined,
  },
  {
    name: 'Owners with large numbers are kept',
    allows: ({ what, slipway }, name) =>
      name === 'copy-chown-forms' &&
      what === 'file /big' &&
      slipway?.startsWith('file 644 4294967294:4294967294 '),
  },
  {
    name: 'Attributes in archives are kept',
    allows: ({ what, docker, slipway }, name) =>
      name === 'add-archive-xattr-and-devices' &&
      what === 'file /x/cap' &&
      docker === slipway?.replace(' user.a=62', ''),
  },
  {
    name: 'Sparse files of old archives are read',
    allows: ({ what, docker }, name) =>
      name === 'add-archive-sparse' && what === 'refusal' && docker !== undefined,
  },
  {
    name: 'A link in an archive that points above its directory stops there',
    allows: ({ what, docker }, name) =>
      name === 'refuse-add-archive-through-a-link-up' && what === 'refusal' && docker !== undefined,
  },
  {
    name: 'A stage that starts from a directory has a history',
    allows: ({ what }, name) => name.startsWith('context-named-directory-') && what.startsWith('history '),
  },
  {
    name: 'Mount points of the system are removed after RUN',
    allows: ({ what, docker, slipway }) =>
      ['file /dev', 'file /proc', 'file /sys'].includes(what) &&
      docker === 'dir 755 0:0' &&
      slipway === undefined,
  },
  {
    name: 'An instruction that can never work is refused',
    allows: ({ what, docker, slipway }, name) =>
      ['run-empty', 'onbuild-unknown-instruction'].includes(name) &&
      what === 'refusal' &&
      docker === undefined &&
      slipway !== undefined,
  },
  {
    name: 'COPY --exclude holds for what a wildcard finds',
    allows: ({ what }, name) =>
      (name === 'copy-exclude-and-wildcards' &&
        /^file (\/1|\/1\/s|\/1\/s\/x|\/1\/[xy]|\/12\/[ab]\.txt|\/4\/a\.txt|\/7\/x)$/.test(what)) ||
      (name === 'copy-exclude-negation-and-directories' && /^(history 8|file \/8(\/.+)?)$/.test(what)),
  },
  {
    name: 'Names that leave their directory or are reserved are refused in archives',
    allows: ({ what, docker, slipway }, name) =>
      ['add-archive-names-with-dots', 'add-archive-with-whiteout-names'].includes(name) &&
      what === 'refusal' &&
      docker === undefined &&
      slipway !== undefined,
  },
  {
    name: 'Hard links between symbolic links become links of their own',
    allows: ({ what, docker, slipway }, name) =>
      name === 'add-archive-hard-links' &&
      ['file /x/s', 'file /x/s2'].includes(what) &&
      docker?.replace(' (2 links, /x/s)', '') === slipway,
  },
  {
    name: 'COPY --exclude knows variables',
    allows: ({ what, slipway }, name) =>
      name === 'copy-exclude-with-variables' && what === 'file /1/x' && slipway === undefined,
  },
  {
    name: 'Names that are not UTF-8 are kept',
    allows: ({ what, docker }, name) =>
      name === 'copy-names-not-utf8' && what === 'refusal' && docker !== undefined,
  },
  {
    name: 'A file that its directory brings back has its content',
    allows: ({ what, docker }, name) =>
      name === 'ignore-double-star-glued' &&
      what === 'file /x/b/c/abc' &&
      docker?.startsWith('file 644 0:0 0 '),
  },
];

function withoutTime(line) {
  return line?.split(' @')[0] ?? '';
}
