// `scratch` and `context` mean something else in FROM and --from.
import { type Rule, ruleUrl } from '../rule.ts';

const reserved = new Set(['context', 'scratch']);

export const reservedStageName: Rule = {
  name: 'ReservedStageName',
  description: 'No stage is called scratch or context',
  url: ruleUrl('ReservedStageName'),
  bad: 'FROM scratch AS context\n',
  good: 'FROM scratch AS sources\n',
  *check({ dockerfile }) {
    for (const { name, from } of dockerfile.stages) {
      if (name === undefined || !reserved.has(name)) continue;
      const message = `Stage name should not use the same name as reserved stage "${name}"`;
      yield { message, range: from.as?.range ?? from.range, instruction: from };
    }
  },
};
