// Of two stages with one name only the last can be copied from.
import { type Rule, ruleUrl } from '../rule.ts';

export const duplicateStageName: Rule = {
  name: 'DuplicateStageName',
  description: 'Each stage has a name of its own',
  url: ruleUrl('DuplicateStageName'),
  bad: 'FROM scratch AS build\nFROM scratch AS build\n',
  good: 'FROM scratch AS build\nFROM scratch AS test\n',
  *check({ dockerfile }) {
    const seen = new Set<string>();
    for (const { name, from } of dockerfile.stages) {
      if (name === undefined) continue;
      if (seen.has(name)) {
        const message = `Duplicate stage name "${name}", stage names should be unique`;
        yield { message, range: from.as?.range ?? from.range, instruction: from };
      }
      seen.add(name);
    }
  },
};
