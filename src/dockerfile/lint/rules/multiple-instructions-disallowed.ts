// Of several CMD, ENTRYPOINT or HEALTHCHECK only the last one counts.
import type { StageInstruction } from '../../instructions.ts';
import { type Rule, ruleUrl } from '../rule.ts';
import { linesIn } from '../subject.ts';

const once = new Set<StageInstruction['kind']>(['cmd', 'entrypoint', 'healthcheck']);

export const multipleInstructionsDisallowed: Rule = {
  name: 'MultipleInstructionsDisallowed',
  description: 'At most one CMD, ENTRYPOINT and HEALTHCHECK in a stage',
  url: ruleUrl('MultipleInstructionsDisallowed'),
  bad: 'FROM scratch\nCMD ["a"]\nCMD ["b"]\n',
  good: 'FROM scratch\nENTRYPOINT ["a"]\nCMD ["b"]\n',
  *check({ stages }) {
    for (const stage of stages) {
      const lines = [...linesIn([stage])];
      const last = new Map(lines.map(({ instruction }) => [instruction.kind, instruction]));
      for (const { instruction } of lines) {
        const { kind } = instruction;
        // The one that has no effect is marked.
        if (!once.has(kind) || last.get(kind) === instruction) continue;
        const name = instruction.keyword.raw.toUpperCase();
        const message = `Multiple ${name} instructions should not be used in the same stage because only the last one will be used`;
        yield { message, range: instruction.range, instruction };
      }
    }
  },
};
