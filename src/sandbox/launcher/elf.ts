// A static executable made of code and data (refspecs.linuxfoundation.org/elf): two loadable segments, no sections, no
// interpreter, nothing that would have to be found on the machine or in the image.
import { dataAddress } from './machine-code.ts';

const CODE_ADDRESS = 0x400000;
const HEADER = 64;
const PROGRAM_HEADER = 56;
/** Largest page size of the architectures we know. */
const PAGE = 0x10000;

const machines: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * @param arch as process.arch
 * @param code runs from its first byte
 * @param data mapped, writable, at {@link dataAddress}
 */
export function executable(arch: string, code: Buffer, data: Buffer): Buffer {
  const start = HEADER + 3 * PROGRAM_HEADER;
  const dataOffset = Math.ceil((start + code.length) / PAGE) * PAGE;
  const file = Buffer.alloc(dataOffset + data.length);
  writeHeader(file, machines[arch] ?? 0, CODE_ADDRESS + start);
  writeSegment(file, 0, { type: 1, flags: 5, offset: 0, address: CODE_ADDRESS, size: start + code.length });
  writeSegment(file, 1, { type: 1, flags: 6, offset: dataOffset, address: dataAddress, size: data.length });
  // PT_GNU_STACK without execute permission.
  writeSegment(file, 2, { type: 0x6474e551, flags: 6, offset: 0, address: 0, size: 0 });
  code.copy(file, start);
  data.copy(file, dataOffset);
  return file;
}

function writeHeader(file: Buffer, machine: number, entry: number): void {
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(file); // 64 bits, little-endian, version 1
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(entry), 24);
  file.writeBigUInt64LE(BigInt(HEADER), 32);
  file.writeUInt16LE(HEADER, 52);
  file.writeUInt16LE(PROGRAM_HEADER, 54);
  file.writeUInt16LE(3, 56);
}

interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

function writeSegment(file: Buffer, index: number, segment: Segment): void {
  const at = HEADER + index * PROGRAM_HEADER;
  file.writeUInt32LE(segment.type, at);
  file.writeUInt32LE(segment.flags, at + 4);
  file.writeBigUInt64LE(BigInt(segment.offset), at + 8);
  file.writeBigUInt64LE(BigInt(segment.address), at + 16);
  file.writeBigUInt64LE(BigInt(segment.address), at + 24);
  file.writeBigUInt64LE(BigInt(segment.size), at + 32);
  file.writeBigUInt64LE(BigInt(segment.size), at + 40);
  file.writeBigUInt64LE(BigInt(PAGE), at + 48);
}
