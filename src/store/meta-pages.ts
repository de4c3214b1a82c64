// Walks the pages of a database file before LMDB maps it: what LMDB finds out of order in a page ends the process where a
// damaged database could be put aside. Values carry checksums of their own (meta.ts), so the structure is all that counts
// here. Layouts are those of `MDB_page` and `MDB_node` in lmdb-js's copy of liblmdb (mdb.c), little-endian.
import { readFileSync } from 'node:fs';

const headerBytes = 24;
const nodeBytes = 8;
const flags = { branch: 0x01, leaf: 0x02, overflow: 0x04, bigData: 0x01 } as const;
const noPage = 0xffff_ffff_ffff_ffffn;

/** Larger files are not looked through: it would take longer than most builds. */
export const maxWalkBytes = 16 * 1024 * 1024;

/**
 * Nobody may write to the file meanwhile.
 * @param roots page numbers of the trees in it
 * @returns whether every page that they lead to is one and says that it is itself
 */
export function isWhole(path: string, pageSize: number, roots: readonly bigint[]): boolean {
  const bytes = readFileSync(path);
  const seen = new Set<number>();
  const waiting = roots.filter(root => root !== noPage);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const number = Number(next);
    const page = pageAt(bytes, number, pageSize);
    if (!page || seen.has(number)) return false;
    seen.add(number);
    const children = page.readUInt16LE(18) & flags.overflow ? [] : childrenOf(page);
    if (!children) return false;
    waiting.push(...children);
  }
  return true;
}

function pageAt(bytes: Buffer, number: number, pageSize: number): Buffer | undefined {
  const start = number * pageSize;
  if (!Number.isSafeInteger(start) || start + pageSize > bytes.length) return undefined;
  const page = bytes.subarray(start, start + pageSize);
  return page.readBigUInt64LE(0) === BigInt(number) ? page : undefined;
}

/** Pages that a branch or leaf leads to. @returns undefined when it is neither or something lies outside of it */
function childrenOf(page: Buffer): bigint[] | undefined {
  const kind = page.readUInt16LE(18) & (flags.branch | flags.leaf);
  // Offsets in a page count from the end of its header.
  const lower = headerBytes + page.readUInt16LE(20);
  const upper = headerBytes + page.readUInt16LE(22);
  if (kind !== flags.branch && kind !== flags.leaf) return undefined;
  if (lower % 2 !== 0 || lower > upper || upper > page.length) return undefined;
  const children: bigint[] = [];
  for (let at = headerBytes; at < lower; at += 2) {
    const node = headerBytes + page.readUInt16LE(at);
    if (node < upper || node + nodeBytes > page.length) return undefined;
    const child = kind === flags.branch ? branchChild(page, node) : leafChild(page, node);
    if (child === undefined) return undefined;
    if (child !== noPage) children.push(child);
  }
  return children;
}

function branchChild(page: Buffer, node: number): bigint | undefined {
  if (node + nodeBytes + page.readUInt16LE(node + 6) > page.length) return undefined;
  return BigInt(page.readUInt32LE(node)) | (BigInt(page.readUInt16LE(node + 4)) << 32n);
}

/** `noPage`: the value lies in the leaf itself. */
function leafChild(page: Buffer, node: number): bigint | undefined {
  const value = node + nodeBytes + page.readUInt16LE(node + 6);
  const isBig = (page.readUInt16LE(node + 4) & flags.bigData) !== 0;
  const end = value + (isBig ? 8 : page.readUInt32LE(node));
  if (end > page.length) return undefined;
  return isBig ? page.readBigUInt64LE(value) : noPage;
}
