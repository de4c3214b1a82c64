// A variable that nothing sets is always empty, or always its default in ${name:-default}: seldom what is meant.

import type { Dockerfile, Heredoc } from '../../instructions.ts';
import { suggest } from '../../suggest.ts';
import { expandHeredoc, WordError } from '../../words.ts';
import { meaning, type Rule, ruleUrl } from '../rule.ts';
import { expandSafely, type LintedLine, linesIn } from '../subject.ts';
import { expandedTexts } from '../texts.ts';

/** Known to the build without being variables. */
const notEnvironment = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);

/** Looking for a near name takes its time; a file with more findings than this is not read to the end by anybody. */
const maxSuggestions = 100;

export const undefinedVar: Rule = {
  name: 'UndefinedVar',
  description: 'Variables are set before they are used',
  url: ruleUrl('UndefinedVar'),
  bad: 'FROM scratch\nARG VERSION=1\nLABEL version=$VERSON\n',
  good: 'FROM scratch\nARG VERSION=1\nLABEL version=$VERSION\n',
  *check({ dockerfile, stages }) {
    let suggestions = 0;
    for (const line of linesIn(stages)) {
      // BuildKit says nothing of EXPOSE, and `# check=error=true` must not stop what it lets pass.
      if (line.instruction.kind === 'expose') continue;
      for (const { name, range } of missingIn(line, dockerfile)) {
        if (line.declared.has(name) || notEnvironment.has(name)) continue;
        const near = suggestions++ < maxSuggestions ? suggest(name, line.env.keys(), true) : undefined;
        // An image that was not looked at may set anything; a near miss is a mistake all the same.
        if (near === undefined && !line.isEnvComplete) continue;
        const message = `Usage of undefined variable '$${name}'${meaning(near, '$')}`;
        yield { message, range, instruction: line.instruction };
      }
    }
  },
};

function* missingIn({ instruction, env }: LintedLine, dockerfile: Dockerfile) {
  // Each word of ARG sees the words before it.
  const soFar = instruction.kind === 'arg' ? new Map(env) : undefined;
  const args = new Map(
    instruction.kind === 'arg' ? instruction.args.map(({ key, value }) => [value, key.raw]) : [],
  );
  for (const text of expandedTexts(instruction)) {
    const missing =
      'body' in text ? missingInBody(text, env) : expandSafely(text, soFar ?? env, dockerfile).unset;
    for (const name of missing) yield { name, range: text.range };
    const arg = 'body' in text ? undefined : args.get(text);
    if (arg !== undefined) soFar?.set(arg, '');
  }
}

function missingInBody(heredoc: Heredoc, env: LintedLine['env']): readonly string[] {
  if (!heredoc.expand) return [];
  try {
    return expandHeredoc(heredoc.body, env).unset;
  } catch (error) {
    if (!(error instanceof WordError)) throw error;
    return [];
  }
}
