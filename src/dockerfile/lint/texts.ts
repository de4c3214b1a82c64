// Which parts of an instruction are expanded: https://docs.docker.com/reference/dockerfile/#environment-replacement
import { unreachable } from '../../errors.ts';
import type { CopyInstruction, Heredoc, StageInstruction, Text } from '../instructions.ts';

/** In the order in which they are expanded. */
export function expandedTexts(line: StageInstruction): readonly (Text | Heredoc)[] {
  switch (line.kind) {
    case 'arg':
      return line.args.flatMap(({ value }) => (value === undefined ? [] : [value]));
    case 'env':
    case 'label':
      return line.pairs.flatMap(({ key, value }) => [key, value]);
    case 'copy':
    case 'add':
      return copyTexts(line);
    case 'run':
      return line.mounts.flatMap(mount =>
        mount.fields
          .filter(({ key }) => key !== 'from')
          .map(({ value }) => ({ raw: value, range: mount.text.range })),
      );
    case 'expose':
    case 'volume':
      return line.items;
    case 'user':
    case 'workdir':
    case 'stopsignal':
    case 'maintainer':
      return line.kind === 'maintainer' ? [] : [line.value];
    case 'cmd':
    case 'entrypoint':
    case 'healthcheck':
    case 'shell':
    case 'onbuild':
      return [];
    default:
      return unreachable(line);
  }
}

function copyTexts(line: CopyInstruction): (Text | Heredoc)[] {
  const flags = [line.chown, line.chmod, line.checksum].filter(flag => flag !== undefined);
  return [...flags, ...line.excludes, ...line.sources, line.dest];
}
