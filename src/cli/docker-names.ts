// Commands that docker has under a further name, so that the word docker can be replaced in a script.
const names: readonly (readonly [docker: string, ours: string])[] = [
  ['image build', 'build'],
  ['builder build', 'build'],
  ['builder prune', 'prune'],
  ['buildx build', 'build'],
  ['buildx b', 'build'],
  ['buildx du', 'du'],
  ['buildx prune', 'prune'],
  ['version', '--version'],
];

/** @returns the command line with slipway's own name of the command */
export function withOwnNames(argv: readonly string[]): readonly string[] {
  const start = globalFlagsOf(argv);
  for (const [docker, ours] of names) {
    const words = docker.split(' ');
    if (words.every((word, i) => argv[start + i] === word))
      return [...argv.slice(0, start), ours, ...argv.slice(start + words.length)];
  }
  return argv;
}

/** How many words come before the command. */
function globalFlagsOf(argv: readonly string[]): number {
  let at = 0;
  while (argv[at]?.startsWith('-')) at += argv[at] === '--root' ? 2 : 1;
  return at;
}
