// Whether this machine runs programs of another architecture: natively, or because binfmt_misc hands them to an emulator
// (https://docs.kernel.org/admin-guide/binfmt-misc.html). It is tried, with a program that does nothing but end well,
// because the list of handlers is not visible in most containers while the handlers work there.
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Platform } from '../image/platform.ts';

interface Machine {
  /** `e_machine` of the ELF header. */
  readonly id: number;
  readonly bits: 32 | 64;
  readonly bigEndian?: boolean;
  readonly flags?: number;
  /** exit(0) in machine code, hexadecimal, as it stands in memory. */
  readonly code: string;
}

const machines: Readonly<Record<string, Machine>> = {
  amd64: { id: 62, bits: 64, code: '31ff' + 'b83c000000' + '0f05' },
  '386': { id: 3, bits: 32, code: '31db' + 'b801000000' + 'cd80' },
  arm64: { id: 183, bits: 64, code: '000080d2' + 'a80b80d2' + '010000d4' },
  arm: { id: 40, bits: 32, flags: 0x05000000, code: '0000a0e3' + '0170a0e3' + '000000ef' },
  riscv64: { id: 243, bits: 64, code: '13050000' + '9308d005' + '73000000' },
  ppc64le: { id: 21, bits: 64, flags: 2, code: '01000038' + '00006038' + '02000044' },
  s390x: { id: 22, bits: 64, bigEndian: true, code: 'a7290000' + '0a01' },
};

const address = 0x10000;
const trialMs = 10_000;

/**
 * A static ELF executable that ends with status 0.
 * @returns undefined for an architecture that is not known here
 */
export function endingProgram(architecture: string): Buffer | undefined {
  const machine = machines[architecture];
  if (!machine) return undefined;
  const { id, bits, bigEndian = false, flags = 0 } = machine;
  const code = Buffer.from(machine.code, 'hex');
  const wide = bits === 64;
  const [header, programHeader] = wide ? [64, 56] : [52, 32];
  const start = header + programHeader;
  const size = start + code.length;
  const fields = new Fields(bits, bigEndian);
  fields.bytes([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, bigEndian ? 2 : 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  fields.half(2).half(id).word(1); // ET_EXEC
  fields
    .native(address + start)
    .native(header)
    .native(0)
    .word(flags);
  fields.half(header).half(programHeader).half(1).half(0).half(0).half(0);
  fields.word(1); // PT_LOAD, readable and executable
  if (wide) fields.word(5);
  fields.native(0).native(address).native(address).native(size).native(size);
  if (!wide) fields.word(5);
  fields.native(0x1000);
  return Buffer.concat([fields.done(), code]);
}

class Fields {
  readonly #wide: boolean;
  readonly #big: boolean;
  readonly #parts: Buffer[] = [];

  constructor(bits: 32 | 64, bigEndian: boolean) {
    this.#wide = bits === 64;
    this.#big = bigEndian;
  }

  bytes(values: readonly number[]): this {
    this.#parts.push(Buffer.from(values));
    return this;
  }

  half(value: number): this {
    return this.#integer(value, 2);
  }

  word(value: number): this {
    return this.#integer(value, 4);
  }

  /** As wide as an address. */
  native(value: number): this {
    return this.#integer(value, this.#wide ? 8 : 4);
  }

  done(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #integer(value: number, width: number): this {
    const bytes = Buffer.alloc(width);
    // Nothing here needs more than 32 bits.
    if (this.#big) bytes.writeUIntBE(value, Math.max(0, width - 4), Math.min(width, 4));
    else bytes.writeUIntLE(value, 0, Math.min(width, 4));
    this.#parts.push(bytes);
    return this;
  }
}

/** Tries it. An architecture that is not known here gets the benefit of the doubt. */
export async function canRun({ os, architecture }: Platform): Promise<boolean> {
  if (os !== 'linux') return false;
  const program = endingProgram(architecture);
  if (!program) return true;
  const dir = mkdtempSync(join(tmpdir(), 'slipway-trial-'));
  try {
    const path = join(dir, 'trial');
    writeFileSync(path, program);
    chmodSync(path, 0o755);
    return await endsWell(path);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function endsWell(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const child = spawn(path, { stdio: 'ignore', timeout: trialMs, env: {} });
    child.once('error', () => resolve(false));
    child.once('exit', status => resolve(status === 0));
  });
}
