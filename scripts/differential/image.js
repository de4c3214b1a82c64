// A saved image (docker save, slipway -o type=docker) in a form to compare: config, history, and what the file system has
// beyond the base image.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { addLayer, changes } from './files.js';
import { readTar } from './tar.js';

/** @param {string} path of the archive @returns {{config: object, layers: Buffer[]}} */
export function readImage(path) {
  const blobs = new Map();
  for (const entry of readTar(readFileSync(path))) blobs.set(entry.name, entry);
  const bytes = name => {
    const entry = blobs.get(name);
    if (entry === undefined) throw new Error(`${path} has no ${name}`);
    return entry.type === '2' ? bytes(new URL(entry.link, `file:///${name}`).pathname.slice(1)) : entry.data;
  };
  const [manifest] = JSON.parse(bytes('manifest.json').toString());
  const unzip = data => (data[0] === 0x1f && data[1] === 0x8b ? gunzipSync(data) : data);
  return {
    config: JSON.parse(bytes(manifest.Config).toString()),
    layers: manifest.Layers.map(name => unzip(bytes(name))),
  };
}

/**
 * @param {{config: object, layers: Buffer[]}} image
 * @param {{config: object}[]} bases images that it may be made from
 * @param {number} now when the build began, in seconds
 */
export function canonical(image, bases, now) {
  const ids = image.config.rootfs?.diff_ids ?? [];
  const base = bases
    .filter(({ config }) => config.rootfs.diff_ids.every((id, i) => id === ids[i]))
    .sort((a, b) => b.layers.length - a.layers.length)[0];
  const baseLayers = base?.layers.length ?? 0;
  const stack = [new Map()];
  for (const layer of image.layers) stack.push(addLayer(stack[stack.length - 1], layer));
  const own = (image.config.history ?? []).slice(base?.config.history?.length ?? 0);
  let at = baseLayers;
  const history = own.map(entry => {
    if (entry.empty_layer) return { by: entry.created_by, layer: 'none' };
    at++;
    const told = at < stack.length ? changes(stack[at - 1], stack[at], Infinity) : undefined;
    return {
      by: entry.created_by,
      layer: told === undefined ? 'missing' : Object.keys(told).length === 0 ? 'unchanged' : 'changed',
    };
  });
  return {
    config: settings(image.config),
    history,
    files: changes(stack[baseLayers], stack[stack.length - 1], now),
  };
}

/** What the config says beyond layers and times; empty values are left out, names sorted. */
function settings({ architecture, os, variant, author, config }) {
  const all = { architecture, os, variant, author, ...config };
  return Object.fromEntries(
    Object.entries(all)
      .filter(([, value]) => !isEmpty(value))
      .map(([key, value]) => [key, sorted(value)])
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function sorted(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isEmpty(value) {
  if (value === undefined || value === null || value === '' || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
