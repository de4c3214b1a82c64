// A comment right above ARG or FROM describes it in --call=outline and targets, and then starts with its name.
import type { ArgInstruction, FromInstruction } from '../../instructions.ts';
import { type Rule, ruleUrl } from '../rule.ts';

export const invalidDefinitionDescription: Rule = {
  name: 'InvalidDefinitionDescription',
  description: 'A comment right above ARG or FROM starts with the name that it describes',
  url: ruleUrl('InvalidDefinitionDescription'),
  experimental: true,
  bad: '# check=experimental=all\n\n# which one to take\nARG VERSION=1\nFROM scratch\n',
  good: '# check=experimental=all\n\n# VERSION which one to take\nARG VERSION=1\nFROM scratch\n',
  *check({ dockerfile }) {
    const lines: (ArgInstruction | FromInstruction)[] = [...dockerfile.globalArgs];
    for (const { from, instructions } of dockerfile.stages) {
      lines.push(from, ...instructions.filter(line => line.kind === 'arg'));
    }
    for (const instruction of lines) {
      const names = namesOf(instruction);
      const comment = instruction.comments.at(-1);
      if (comment === undefined || names.length === 0 || /^\s*check\s*=/i.test(comment)) continue;
      const [first = ''] = comment.trim().split(' ', 1);
      if (names.includes(first)) continue;
      const example = names.length > 1 ? '<arg_key>' : names[0];
      const message = `Comment for ${instruction.kind.toUpperCase()} should follow the format: \`# ${example} <description>\``;
      yield { message, range: instruction.range, instruction };
    }
  },
};

function namesOf(line: ArgInstruction | FromInstruction): string[] {
  if (line.kind === 'arg') return line.args.map(({ key }) => key.raw);
  return line.as === undefined ? [] : [line.as.raw.toLowerCase()];
}
