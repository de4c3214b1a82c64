// Keywords all in upper case, or all in lower case: what most of them are decides.
import type { Instruction } from '../../instructions.ts';
import { type Rule, ruleUrl } from '../rule.ts';

export const consistentInstructionCasing: Rule = {
  name: 'ConsistentInstructionCasing',
  description: 'All instructions of a file are written in the same case',
  url: ruleUrl('ConsistentInstructionCasing'),
  bad: 'FROM scratch\nrun a\nRUN b\n',
  good: 'from scratch\nrun a\nrun b\n',
  *check({ dockerfile }) {
    const lines: Instruction[] = dockerfile.stages.flatMap(stage => [stage.from, ...stage.instructions]);
    const lower = lines.filter(({ keyword }) => keyword.raw === keyword.raw.toLowerCase()).length;
    const upper = lines.filter(({ keyword }) => keyword.raw === keyword.raw.toUpperCase()).length;
    const wantsLower = lower > upper;
    for (const instruction of lines) {
      const { raw, range } = instruction.keyword;
      if (raw === (wantsLower ? raw.toLowerCase() : raw.toUpperCase())) continue;
      const wanted = wantsLower ? 'lowercase' : 'uppercase';
      const message = `Command '${raw}' should match the case of the command majority (${wanted})`;
      yield { message, range, instruction };
    }
  },
};
