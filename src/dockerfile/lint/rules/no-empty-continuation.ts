// A blank line in the middle of an instruction. The scanner sees it, since nothing of it is left afterwards.
import { type Rule, ruleUrl } from '../rule.ts';

const name = 'NoEmptyContinuation';

export const noEmptyContinuation: Rule = {
  name,
  description: 'No blank line inside an instruction that goes on over several lines',
  url: ruleUrl(name),
  bad: 'FROM scratch\nRUN a && \\\n\n  b\n',
  good: 'FROM scratch\nRUN a && \\\n  # and then\n  b\n',
  *check({ dockerfile }) {
    for (const { rule, range } of dockerfile.diagnostics) {
      if (rule === name && range !== undefined) yield { message: 'Empty continuation line', range };
    }
  },
};
