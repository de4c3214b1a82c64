// Writes docs/cli.md from the definitions of the commands, so that the two cannot differ; with --check it only compares.
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = join(root, 'docs/cli.md');

const text = render(await loadProgram());
if (!process.argv.includes('--check')) writeFileSync(target, text);
else if (readFileSync(target, 'utf8') !== text) {
  console.error('docs/cli.md is not what the commands say: run node scripts/cli-docs.js');
  process.exit(1);
}

/** The commands, without running any. */
async function loadProgram() {
  const dir = await mkdtemp(join(root, 'dist/cli-docs-'));
  try {
    const outfile = join(dir, 'program.js');
    await build({
      absWorkingDir: root,
      entryPoints: ['src/cli/program.ts'],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      packages: 'external',
      // What a command does is imported when it runs, which is never.
      plugins: [
        {
          name: 'no-actions',
          setup(plugin) {
            plugin.onResolve({ filter: /\.ts$/ }, args =>
              args.kind === 'dynamic-import' ? { path: args.path, external: true } : undefined,
            );
          },
        },
      ],
    });
    const { makeProgram } = await import(pathToFileURL(outfile).href);
    const silent = () => {};
    return makeProgram({ argv: [], env: {}, cwd: root, out: silent, err: silent });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function render(program) {
  const sections = program.commands.filter(isShown).flatMap(command => section(command, 'slipway', 2));
  return [
    '# The command line',
    '',
    '<!-- Written by scripts/cli-docs.js from the definitions in src/cli/commands. -->',
    '',
    'Whoever knows `docker` knows these commands: names, flags, tables, filters and formats are the same. Results go to',
    'standard output, everything else to standard error.',
    '',
    '| exit status | meaning |',
    '|---|---|',
    '| 0 | done |',
    '| 1 | the command failed, or did not find what it was asked for |',
    '| 2 | wrong usage |',
    '| 70 | a defect of slipway |',
    '| 130 | interrupted |',
    '',
    'Where a command takes an image, it takes one of these:',
    '',
    '| reference | where the image is |',
    '|---|---|',
    '| `name[:tag][@digest]`, an image id, the beginning of one | the local store |',
    '| `docker-archive:FILE[:NAME]` | what `docker save` writes |',
    '| `oci-archive:FILE[:NAME]`, `oci:DIR[:TAG]` | an OCI image layout, as a tar or a directory |',
    '| `docker://[HOST/]NAME[:TAG][@DIGEST]` | a registry |',
    '',
    '`--format` takes `json`, `table`, `table TEMPLATE` or a Go template. Templates know fields, variables, pipes,',
    '`if`, `else`, `with`, `range`, `break`, `continue`, comments and trim markers, and the functions',
    '`and or not eq ne lt le gt ge index len slice print printf println html urlquery` of Go and',
    '`json join split lower upper title pad truncate` of docker.',
    '',
    'What differs from docker, on purpose:',
    '',
    '- Wrong usage ends with status 2, as does the beginning of several ids.',
    '- `rmi` by id refuses an image with several names in one repository too, unless forced, and says which they are.',
    '- `push` writes the digest to standard output, with `-q` too (docker: the name); `pull` writes the full name. The lines',
    '  `Digest:`, `Status:` and `TAG: digest: ... size: ...` go to standard error.',
    '- `save`, `image export` and `image copy` make the directories above the file that they write.',
    '- `build --push` keeps nothing under the name in the local store; `-o type=image,push=true` does both.',
    '- There is no container that could need an image: in `system df`, active images are those with a tag.',
    '- What `load` reads is listed, tagged, pushed and run under the names in the archive, but `FROM` does not go by them:',
    '  whoever writes an archive could call his image `alpine`. `slipway tag NAME NAME` makes such a name your own.',
    '- `search HOST/part` lists the matching repositories of a registry that tells them.',
    '- `load` reads directories too (layouts, `dir:` of skopeo); `tag`, `inspect`, `history`, `save` and the commands of',
    '  `slipway image` take images in files and registries.',
    '',
    '## Flags of every command',
    '',
    ...optionTable(program),
    '',
    ...sections,
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function isShown(command) {
  return command.name() !== 'help' && !command._hidden;
}

function section(command, parents, depth) {
  const name = `${parents} ${command.name()}`;
  const children = command.commands.filter(isShown);
  const lines = [`${'#'.repeat(depth)} ${name}`, '', sentence(command.description()), ''];
  if (children.length === 0) lines.push('```console', `$ ${usage(command, name)}`, '```', '');
  const aliases = command.aliases();
  if (aliases.length > 0)
    lines.push(`Also: ${aliases.map(alias => `\`${parents} ${alias}\``).join(', ')}`, '');
  const described = command.registeredArguments.filter(argument => argument.description);
  if (described.length > 0) {
    lines.push('| argument | |', '|---|---|');
    for (const argument of described)
      lines.push(`| \`${argument.name()}\` | ${cell(argument.description)} |`);
    lines.push('');
  }
  const options = optionTable(command);
  if (options.length > 0) lines.push(...options, '');
  return [...lines, ...children.flatMap(child => section(child, name, depth + 1))];
}

function usage(command, name) {
  const flags = command.options.some(option => !option.hidden) ? ' [flags]' : '';
  const args = command.registeredArguments.map(argument => {
    const shown = `${argument.name()}${argument.variadic ? '...' : ''}`;
    return argument.required ? ` <${shown}>` : ` [${shown}]`;
  });
  return `${name}${flags}${args.join('')}`;
}

function optionTable(command) {
  const options = command.options.filter(option => !option.hidden);
  if (options.length === 0) return [];
  return [
    '| flag | |',
    '|---|---|',
    ...options.map(option => `| \`${option.flags.replaceAll('|', '\\|')}\` | ${cell(describe(option))} |`),
  ];
}

function describe(option) {
  const notes = [];
  if (option.argChoices) notes.push(option.argChoices.join(', '));
  const isPlain = ['string', 'number'].includes(typeof option.defaultValue) && option.defaultValue !== '';
  if (isPlain && !/\(default/.test(option.description)) notes.push(`default: ${option.defaultValue}`);
  return `${option.description}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`;
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
