// Tar archives for tests, byte by byte and without judgement: also such as no honest program writes. Ustar with PAX
// records for xattrs (https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html).
import type { EntryType } from '../../src/tree/entry.ts';

export interface TarMember {
  /** Written as it is. */
  readonly name: string;
  /** Default file, or directory when the name ends with `/`. */
  readonly type?: EntryType;
  readonly text?: string;
  /** Of symlinks and hard links, as it is. */
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeSec?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
}

const flags: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** With the end marker. */
export function makeTar(members: readonly TarMember[]): Buffer {
  return Buffer.concat([...members.flatMap(blocksOf), Buffer.alloc(1024)]);
}

function blocksOf(member: TarMember): Buffer[] {
  const body = Buffer.from(member.text ?? '');
  const type = member.type ?? (member.name.endsWith('/') ? 'directory' : 'file');
  const pax = paxRecords(member.xattrs ?? {});
  const extended = pax.length === 0 ? [] : [header({ name: 'pax' }, 'x', pax.length), padded(pax)];
  return [...extended, header(member, flags[type], body.length), padded(body)];
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

function paxRecords(xattrs: Readonly<Record<string, string>>): Buffer {
  const records = Object.entries(xattrs).map(([name, value]) => {
    const rest = Buffer.from(` SCHILY.xattr.${name}=${value}\n`, 'latin1');
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    return Buffer.concat([Buffer.from(String(length)), rest]);
  });
  return Buffer.concat(records);
}

function header(member: TarMember, flag: string, size: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  block.write(member.name, 0, 100);
  octal(member.mode ?? (flag === '5' ? 0o755 : 0o644), 100, 8);
  octal(member.uid ?? 0, 108, 8);
  octal(member.gid ?? 0, 116, 8);
  octal(size, 124, 12);
  octal(member.mtimeSec ?? 1_500_000_000, 136, 12);
  block.write(flag, 156);
  block.write(member.target ?? '', 157, 100);
  block.write('ustar\x0000', 257, 'latin1');
  octal(1, 329, 8);
  octal(3, 337, 8);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
