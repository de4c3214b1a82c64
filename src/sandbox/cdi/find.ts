// The devices that this machine has specifications of. A file that cannot be read is noted, and stands in nobody's way who
// asks for other devices.
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { errnoOf, messageOf, printable } from '../../errors.ts';
import { type CdiDevice, Fault, readSpecification } from './specification.ts';

export interface CdiInventory {
  /** By name, in the order of names. */
  readonly devices: ReadonlyMap<string, CdiDevice>;
  /** For people: the directories with what is there, a line each. */
  readonly searched: readonly string[];
  /** For people: what is wrong, a line each. */
  readonly faults: readonly string[];
}

interface Notes {
  readonly searched: string[];
  readonly faults: string[];
}

/** Real ones have some ten thousand bytes. */
const MOST_BYTES = 4 << 20;

/** Reads every specification in these directories, not below. */
export async function findCdiDevices(dirs: readonly string[]): Promise<CdiInventory> {
  const found = new Map<string, CdiDevice>();
  const notes: Notes = { searched: [], faults: [] };
  for (const dir of dirs) {
    const here = new Map<string, CdiDevice>();
    const disputed = new Set<string>();
    for (const device of await devicesIn(dir, notes)) {
      const other = here.get(device.name);
      if (other !== undefined) {
        disputed.add(device.name);
        notes.faults.push(
          `${device.name} is in ${nameOf(other.file)} and in ${nameOf(device.file)}: in neither`,
        );
      }
      here.set(device.name, device);
    }
    for (const [name, device] of here) {
      if (disputed.has(name)) found.delete(name);
      else found.set(name, device);
    }
  }
  const devices = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  return { devices: new Map(devices), ...notes };
}

async function devicesIn(dir: string, notes: Notes): Promise<readonly CdiDevice[]> {
  let names: readonly string[];
  try {
    // Whoever may add a file here may give any device of this machine to a step.
    if (isForAnybody(statSync(dir).mode)) throw new Fault('anybody may write there');
    names = readdirSync(dir).sort();
  } catch (error) {
    const isMissing = errnoOf(error) === 'ENOENT';
    if (isMissing) notes.searched.push(`${nameOf(dir)}: does not exist`);
    else notes.faults.push(`${nameOf(dir)}: not read, ${messageOf(error)}`);
    return [];
  }
  const files = names.filter(name => ['.json', '.yaml'].includes(extname(name)));
  notes.searched.push(
    `${nameOf(dir)}: ${files.length} ${files.length === 1 ? 'specification' : 'specifications'}`,
  );
  const misnamed = names.find(name => extname(name) === '.yml');
  if (misnamed !== undefined)
    notes.faults.push(`${nameOf(join(dir, misnamed))}: not read, its name ends in .yml`);
  const found: CdiDevice[] = [];
  for (const name of files) {
    const file = join(dir, name);
    try {
      found.push(...readSpecification(await contentOf(file), file));
    } catch (error) {
      const why = error instanceof Fault ? error.message : (errnoOf(error) ?? messageOf(error));
      notes.faults.push(`${nameOf(file)}: ${why}`);
    }
  }
  return found;
}

async function contentOf(file: string): Promise<unknown> {
  const text = textOf(file);
  if (extname(file) === '.yaml') return (await import('./yaml.ts')).parseYaml(text);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Fault(`it is no JSON (${printable(messageOf(error)).slice(0, 200)})`);
  }
}

/** Links are followed, as whoever installs them expects. */
function textOf(file: string): string {
  // Without O_NONBLOCK a pipe would be waited for.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Fault('it is no file');
    if (isForAnybody(stat.mode)) throw new Fault('anybody may write to it');
    if (stat.size > MOST_BYTES) throw new Fault(`it has more than ${MOST_BYTES >> 20} MiB`);
    const bytes = Buffer.alloc(stat.size);
    let size = 0;
    for (let read = -1; read !== 0 && size < bytes.length; size += read) {
      read = readSync(fd, bytes, size, bytes.length - size, null);
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, size));
  } catch (error) {
    if (errnoOf(error) === 'ERR_ENCODING_INVALID_ENCODED_DATA') throw new Fault('it is no UTF-8');
    throw error;
  } finally {
    closeSync(fd);
  }
}

function isForAnybody(mode: number): boolean {
  return (mode & 0o002) !== 0;
}

function nameOf(path: string): string {
  return printable(path);
}
