// The files that a COPY selected, for its record.
import type { InputFile } from '../../cache/input-files.ts';
import { hexOf } from '../../image/digest.ts';
import type { Selection, Source } from './copy-selection.ts';

/** Contents are known by then, the key asked for them. */
export async function inputFiles({ sources }: Selection): Promise<InputFile[]> {
  const lists = await Promise.all(sources.map(filesOf));
  const isAlone = sources.length === 1;
  return lists.flatMap((files, i) => {
    const name = sources[i]?.name ?? '';
    return files.map(file => ({ ...file, path: placed(file.path, name, isAlone) }));
  });
}

/** A file is known by its name; what is in a directory by its path there, with the directory's name where there are several. */
function placed(path: string, name: string, isAlone: boolean): string {
  if (path === '') return name;
  return isAlone || name === '' ? path : `${name}/${path}`;
}

async function filesOf(source: Source): Promise<InputFile[]> {
  switch (source.kind) {
    case 'file':
      return [
        {
          path: '',
          type: 'file',
          mode: source.mode,
          size: source.size,
          content: hexOf(source.digest),
          target: '',
        },
      ];
    case 'archive':
      return [];
    case 'tree': {
      const files = source.entries.filter(({ entry }) => entry.type === 'file' || entry.type === 'hardlink');
      const digests = await source.tree.contentDigests(files.map(({ entry }) => entry));
      const contents = new Map(files.map(({ entry }, i) => [entry, digests[i]]));
      return source.entries.map(({ relative, entry }) => {
        const digest = contents.get(entry);
        return {
          path: relative,
          type: entry.type,
          mode: entry.mode,
          size: entry.size,
          content: digest === undefined ? '' : hexOf(digest),
          target: entry.linkTarget ?? '',
        };
      });
    }
  }
}
