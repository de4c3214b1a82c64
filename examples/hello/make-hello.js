// Writes hello-amd64 and hello-arm64: the smallest programs that a Linux kernel runs. Each is an ELF header, one
// program header, a few instructions that call write(1, message) and exit(0), and the message. They are committed;
// this script shows where they come from, and a test checks that it makes the same bytes again.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const message = Buffer.from('Hello from slipway: this image was built without a daemon.\n');
const headerSize = 64 + 56;
const base = 0x400000;

function elf(machine, code) {
  const size = headerSize + code.length + message.length;
  const out = Buffer.alloc(headerSize);
  Buffer.from('7f454c4602010100', 'hex').copy(out, 0); // magic, 64 bit, little endian, version 1
  out.writeUInt16LE(2, 16); // executable
  out.writeUInt16LE(machine, 18);
  out.writeUInt32LE(1, 20);
  out.writeBigUInt64LE(BigInt(base + headerSize), 24); // entry point
  out.writeBigUInt64LE(64n, 32); // program headers follow
  out.writeUInt16LE(64, 52);
  out.writeUInt16LE(56, 54);
  out.writeUInt16LE(1, 56);
  out.writeUInt32LE(1, 64); // PT_LOAD
  out.writeUInt32LE(5, 68); // readable, executable
  out.writeBigUInt64LE(BigInt(base), 80);
  out.writeBigUInt64LE(BigInt(base), 88);
  out.writeBigUInt64LE(BigInt(size), 96);
  out.writeBigUInt64LE(BigInt(size), 104);
  out.writeBigUInt64LE(0x10000n, 112);
  return Buffer.concat([out, code, message]);
}

function amd64() {
  const code = Buffer.from('b801000000bf01000000488d3500000000ba000000000f05b83c00000031ff0f05', 'hex');
  code.writeInt32LE(code.length - 17, 13); // lea rsi, [rip + message]
  code.writeUInt32LE(message.length, 18); // mov edx, length
  return elf(62, code);
}

function arm64() {
  const words = [
    0xd2800020, // mov x0, 1
    0, // adr x1, message
    0xd2800002 | (message.length << 5), // mov x2, length
    0xd2800808, // mov x8, 64 (write)
    0xd4000001, // svc 0
    0xd2800000, // mov x0, 0
    0xd2800ba8, // mov x8, 93 (exit)
    0xd4000001, // svc 0
  ];
  const distance = (words.length - 1) * 4;
  words[1] = 0x10000001 | ((distance & 3) << 29) | ((distance >> 2) << 5);
  const code = Buffer.alloc(words.length * 4);
  for (const [i, word] of words.entries()) code.writeUInt32LE(word >>> 0, i * 4);
  return elf(183, code);
}

const dir = process.argv[2] ?? dirname(fileURLToPath(import.meta.url));
writeFileSync(join(dir, 'hello-amd64'), amd64(), { mode: 0o755 });
writeFileSync(join(dir, 'hello-arm64'), arm64(), { mode: 0o755 });
