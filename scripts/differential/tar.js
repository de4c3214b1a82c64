// A small tar reader for comparing images: ustar, GNU long names and PAX records, from a buffer. It shares nothing with
// src/archive on purpose, so that a mistake made there is not made here as well.

/**
 * @typedef {object} TarEntry
 * @property {string} name bytes as latin1, as the archive has it
 * @property {string} type the flag: 0 file, 1 hard link, 2 symlink, 3 and 4 devices, 5 directory, 6 fifo
 * @property {number} mode permission bits, setuid, setgid and sticky
 * @property {number} uid
 * @property {number} gid
 * @property {number} mtime whole seconds
 * @property {string} link target, bytes as latin1
 * @property {number} major
 * @property {number} minor
 * @property {Record<string, string>} xattrs values in hexadecimal
 * @property {Buffer} data
 */

/** @param {Buffer} bytes @returns {TarEntry[]} @throws Error where the archive is damaged */
export function readTar(bytes) {
  const entries = [];
  let next = {};
  let global = {};
  for (let at = 0; at + 512 <= bytes.length; ) {
    const header = bytes.subarray(at, at + 512);
    if (header.every(byte => byte === 0)) break;
    checkSum(header, at);
    const type = String.fromCharCode(header[156] || 48);
    const size = next.size === undefined ? number(header, 124, 12) : Number(next.size);
    const data = bytes.subarray(at + 512, at + 512 + size);
    if (data.length < size) throw new Error(`tar: ends inside of an entry at ${at}`);
    at += 512 + Math.ceil(size / 512) * 512;
    if (type === 'x') next = { ...next, ...paxRecords(data) };
    else if (type === 'g') global = { ...global, ...paxRecords(data) };
    else if (type === 'L') next = { ...next, path: untilZero(data) };
    else if (type === 'K') next = { ...next, linkpath: untilZero(data) };
    else {
      entries.push(entry(header, type, { ...global, ...next }, data));
      next = {};
    }
  }
  return entries;
}

function entry(header, type, pax, data) {
  const xattrs = {};
  for (const [key, value] of Object.entries(pax))
    if (key.startsWith('SCHILY.xattr.'))
      xattrs[key.slice('SCHILY.xattr.'.length)] = Buffer.from(value, 'latin1').toString('hex');
  const ustar = header.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = ustar ? text(header, 345, 155) : '';
  const name = text(header, 0, 100);
  return {
    name: pax.path ?? (prefix ? `${prefix}/${name}` : name),
    type: type === '7' ? '0' : type,
    mode: number(header, 100, 8) & 0o7777,
    uid: Number(pax.uid ?? number(header, 108, 8)),
    gid: Number(pax.gid ?? number(header, 116, 8)),
    mtime: Math.floor(Number(pax.mtime ?? number(header, 136, 12))),
    link: pax.linkpath ?? text(header, 157, 100),
    major: number(header, 329, 8),
    minor: number(header, 337, 8),
    xattrs,
    data,
  };
}

function checkSum(header, at) {
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += i >= 148 && i < 156 ? 32 : header[i];
  if (sum !== number(header, 148, 8)) throw new Error(`tar: wrong checksum of the header at ${at}`);
}

/** Octal text, or base 256 when the top bit is set. */
function number(header, at, length) {
  if (header[at] & 0x80) {
    let value = BigInt(header[at] & 0x7f);
    for (let i = 1; i < length; i++) value = value * 256n + BigInt(header[at + i]);
    return Number(
      header[at] === 0xff ? BigInt.asIntN(length * 8, value | (0x80n << BigInt(8 * (length - 1)))) : value,
    );
  }
  const digits = text(header, at, length).trim();
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

function text(bytes, at, length) {
  return untilZero(bytes.subarray(at, at + length));
}

function untilZero(bytes) {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

function paxRecords(data) {
  const records = {};
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(32, at);
    const length = Number(data.toString('latin1', at, space));
    if (!(length > 0)) throw new Error('tar: a PAX record has no length');
    const record = data.toString('latin1', space + 1, at + length - 1);
    const equals = record.indexOf('=');
    records[record.slice(0, equals)] = record.slice(equals + 1);
    at += length;
  }
  return records;
}
