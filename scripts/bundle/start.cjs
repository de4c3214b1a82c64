// Starts the bundle with V8's compiled form of it: compiling takes a third of a short run. It is kept beside the bundle,
// or where that cannot be written in the user's own cache directory, where only what belongs to the user is taken. Its
// name says which bundle it belongs to; V8 itself refuses one of another version.
const fs = require('node:fs');
const { dirname, join } = require('node:path');
const { Script } = require('node:vm');

const bundle = join(__dirname, 'slipway.cjs');
const name = `slipway.BUNDLE_ID-${process.version}-${process.arch}.compiled`;

function places() {
  const { HOME, XDG_CACHE_HOME } = process.env;
  const cache = XDG_CACHE_HOME || (HOME && `${HOME}/.cache`);
  return [__dirname, ...(cache?.startsWith('/') ? [join(cache, 'slipway/compiled')] : [])];
}

function read(dir) {
  let fd;
  try {
    fd = fs.openSync(join(dir, name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    const { uid, mode } = fs.fstatSync(fd);
    const isOurs = dir === __dirname || (uid === process.geteuid() && (mode & 0o022) === 0);
    return isOurs ? fs.readFileSync(fd) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

/** @returns whether it could be written */
function write(dir, data) {
  const temporary = join(dir, `${name}.${process.pid}.tmp`);
  try {
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    fs.writeFileSync(temporary, data, { mode: 0o644, flag: 'wx' });
    fs.renameSync(temporary, join(dir, name));
    for (const other of fs.readdirSync(dir)) {
      if (/^slipway\..*\.compiled$/.test(other) && !other.includes('BUNDLE_ID')) fs.rmSync(join(dir, other));
    }
    return true;
  } catch {
    fs.rmSync(temporary, { force: true });
    return false;
  }
}

// The bundle is ASCII.
const cachedData = places().reduce((found, dir) => found ?? read(dir), undefined);
const source = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(bundle, 'latin1')}\n})`;
const script = new Script(source, { filename: bundle, ...(cachedData ? { cachedData } : {}) });
const bundled = { exports: {} };
script.runInThisContext()(bundled.exports, require, bundled, bundle, dirname(bundle));
// At the end of the run, so that the functions that were used are part of it.
if (!cachedData || script.cachedDataRejected) {
  process.on('exit', () => places().some(dir => write(dir, script.createCachedData())));
}
bundled.exports.main(process.argv.slice(2));
