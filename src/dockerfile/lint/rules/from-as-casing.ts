// `FROM ... as` mixes cases.
import { type Rule, ruleUrl } from '../rule.ts';

export const fromAsCasing: Rule = {
  name: 'FromAsCasing',
  description: 'FROM and AS are written in the same case',
  url: ruleUrl('FromAsCasing'),
  bad: 'FROM scratch as build\n',
  good: 'FROM scratch AS build\n',
  *check({ dockerfile }) {
    for (const { from } of dockerfile.stages) {
      const { keyword, asKeyword } = from;
      if (asKeyword === undefined) continue;
      const written = keyword.raw;
      const isLower = written === written.toLowerCase();
      // A mixed `From` is the business of ConsistentInstructionCasing.
      if (!isLower && written !== written.toUpperCase()) continue;
      const wanted = isLower ? asKeyword.raw.toLowerCase() : asKeyword.raw.toUpperCase();
      if (asKeyword.raw === wanted) continue;
      const message = `'${asKeyword.raw}' and '${written}' keywords' casing do not match`;
      yield { message, range: asKeyword.range, instruction: from };
    }
  },
};
