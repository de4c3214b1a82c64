// In the place of node-gyp-build-optional-packages in the bundle: the addon of lmdb for this machine, found from where
// lmdb is installed. Throws when there is none, and the bundle then loads lmdb itself.
const { createRequire } = require('node:module');
const { dirname, join } = require('node:path');

module.exports = () => {
  const here = createRequire(__filename);
  const lmdb = createRequire(here.resolve(['lm', 'db'].join('')));
  const home = dirname(lmdb.resolve(`@lmdb/lmdb-${process.platform}-${process.arch}`));
  const libc = isMusl() ? 'musl' : 'glibc';
  return lmdb(join(home, `node.napi.${libc}.node`));
};

/** The loader that is mapped into this process. */
function isMusl() {
  return /ld-musl-/.test(require('node:fs').readFileSync('/proc/self/maps', 'latin1'));
}
