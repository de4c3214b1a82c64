// The file system that the layers of an image make, as lines that can be compared: overlays tar layers with their
// whiteouts and says, path by path, what differs from the base image.
import { createHash } from 'node:crypto';
import { readTar } from './tar.js';

const kinds = { 0: 'file', 2: 'link', 3: 'char', 4: 'block', 5: 'dir', 6: 'fifo' };

/** @param {Map<string, object>} below path -> node; left as it is @param {Buffer} layer a tar @returns {Map<string, object>} */
export function addLayer(below, layer) {
  const files = new Map(below);
  const entries = readTar(layer).map(entry => ({ ...entry, path: clean(entry.name) }));
  for (const { path } of entries) whiteOut(files, path);
  for (const entry of entries) {
    if (entry.path.slice(entry.path.lastIndexOf('/') + 1).startsWith('.wh.')) continue;
    addParents(files, entry.path);
    put(files, entry.path, entry.type === '1' ? linked(files, entry) : node(entry));
  }
  return files;
}

function clean(name) {
  const parts = name.split('/').filter(part => part !== '' && part !== '.');
  if (parts.includes('..')) throw new Error(`a layer names ${name}`);
  return `/${parts.join('/')}`;
}

function whiteOut(files, path) {
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  if (!name.startsWith('.wh.')) return;
  if (name === '.wh..wh..opq') removeBelow(files, path.slice(0, slash));
  else {
    const gone = `${path.slice(0, slash)}/${name.slice(4)}`;
    files.delete(gone);
    removeBelow(files, gone);
  }
}

function removeBelow(files, dir) {
  for (const path of [...files.keys()]) if (path.startsWith(`${dir}/`)) files.delete(path);
}

function addParents(files, path) {
  for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1)) {
    const parent = path.slice(0, at);
    if (files.get(parent)?.kind !== 'dir')
      put(files, parent, { kind: 'dir', mode: 0o755, uid: 0, gid: 0, mtime: Infinity, xattrs: {} });
  }
}

function put(files, path, made) {
  if (made.kind !== 'dir') removeBelow(files, path);
  files.set(path, made);
}

function linked(files, entry) {
  const target = files.get(clean(entry.link));
  if (target === undefined) throw new Error(`hard link ${entry.path} to ${entry.link}, which is not there`);
  return target;
}

function node(entry) {
  const kind = kinds[entry.type];
  if (kind === undefined) throw new Error(`an entry of type ${entry.type}: ${entry.path}`);
  const { mode, uid, gid, mtime, xattrs } = entry;
  const made = { kind, mode, uid, gid, mtime, xattrs };
  if (kind === 'file') {
    const digest = createHash('sha256').update(entry.data).digest('hex').slice(0, 16);
    return { ...made, size: entry.data.length, digest };
  }
  if (kind === 'link') return { ...made, mode: 0o777, target: entry.link };
  if (kind === 'char' || kind === 'block') return { ...made, device: `${entry.major},${entry.minor}` };
  return made;
}

/**
 * What `files` has that `base` has not, by path. A time is told only when it lies before `now` by an hour or more: files that
 * the build itself made have the time of the build.
 * @param {Map<string, object>} base @param {Map<string, object>} files @param {number} now seconds
 * @returns {Record<string, string>}
 */
export function changes(base, files, now) {
  const [before, after] = [firstLinks(base), firstLinks(files)];
  const told = {};
  for (const path of [...files.keys()].sort()) {
    const [was, is] = [base.get(path), files.get(path)];
    const line = describe(path, is, after);
    const touched = is.kind === 'dir' && was?.kind === 'dir';
    const old = is.mtime < now - 3600 && was?.mtime !== is.mtime && !touched;
    if (!old && was !== undefined && describe(path, was, before) === line) continue;
    told[readable(path)] = old ? `${line} @${new Date(is.mtime * 1000).toISOString().slice(0, 19)}` : line;
  }
  const gone = [...base.keys()].filter(path => !files.has(path)).sort();
  for (const path of gone)
    if (!gone.some(other => path.startsWith(`${other}/`))) told[readable(path)] = 'deleted';
  return told;
}

/** The first path of each node that has several. */
function firstLinks(files) {
  const counts = new Map();
  for (const path of [...files.keys()].sort()) {
    const seen = counts.get(files.get(path));
    if (seen === undefined) counts.set(files.get(path), { first: path, count: 1 });
    else seen.count++;
  }
  return counts;
}

function describe(path, node, links) {
  const words = [node.kind, node.mode.toString(8), `${node.uid}:${node.gid}`];
  if (node.kind === 'file') words.push(`${node.size}`, node.digest);
  if (node.target !== undefined) words.push('->', readable(node.target));
  if (node.device !== undefined) words.push(node.device);
  for (const [name, value] of Object.entries(node.xattrs).sort()) words.push(`${name}=${value}`);
  const group = links.get(node);
  if (node.kind !== 'dir' && group.count > 1) words.push(`(${group.count} links, ${readable(group.first)})`);
  return path === '/' ? words.slice(0, 3).join(' ') : words.join(' ');
}

/** UTF-8 where it is, else the bytes as escapes. */
function readable(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return bytes.replace(/[\x80-\xff]/g, char => `\\x${char.charCodeAt(0).toString(16)}`);
  }
}
