// The files that a step read, as its record keeps them: enough to say later which one changed, and how. A list of 100,000
// files takes some megabytes, so it is compressed and stands outside of the database.
import { promisify } from 'node:util';
import { gunzipSync, gzip } from 'node:zlib';

export interface InputFile {
  /** Below its source, bytes as latin1; sources of one step are told apart by their first component. */
  readonly path: string;
  /** A type of tree/entry.ts. */
  readonly type: string;
  readonly mode: number;
  readonly size: number;
  /** sha256 in hex; '' for what has no content. */
  readonly content: string;
  /** Of a symbolic link, else ''. */
  readonly target: string;
}

const fieldsPerFile = 6;
const compress = promisify(gzip);

/** No name holds the separator, a NUL byte. */
export async function encodeFiles(files: readonly InputFile[]): Promise<Buffer> {
  const text = files
    .map(f => [f.path, f.type, f.mode.toString(8), f.size, f.content, f.target].join('\0'))
    .join('\0');
  return compress(Buffer.from(text, 'latin1'), { level: 1 });
}

/** @returns undefined when the bytes are no such list */
export function decodeFiles(bytes: Buffer): InputFile[] | undefined {
  let fields: string[];
  try {
    const text = gunzipSync(bytes).toString('latin1');
    fields = text === '' ? [] : text.split('\0');
  } catch {
    return undefined;
  }
  if (fields.length % fieldsPerFile !== 0) return undefined;
  const files: InputFile[] = [];
  for (let i = 0; i < fields.length; i += fieldsPerFile) {
    const [path = '', type = '', mode = '', size = '', content = '', target = ''] = fields.slice(i, i + 6);
    files.push({ path, type, mode: Number.parseInt(mode, 8), size: Number(size), content, target });
  }
  return files;
}
