// Values of ARG and ENV can be read from the image's config and history.
import type { SourceRange } from '../../../errors.ts';
import type { StageInstruction } from '../../instructions.ts';
import { type Rule, ruleUrl } from '../rule.ts';
import { linesIn } from '../subject.ts';

const secret = /(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmless = /(?:_|^)(?:public|file|version)(?:_|$)/i;

export const secretsUsedInArgOrEnv: Rule = {
  name: 'SecretsUsedInArgOrEnv',
  description: 'Secrets are mounted, not passed as ARG or ENV',
  url: ruleUrl('SecretsUsedInArgOrEnv'),
  bad: 'FROM scratch\nENV AWS_SECRET=abc\n',
  good: 'FROM scratch\nENV AWS_SECRET_FILE=/run/secrets/aws\n',
  *check({ stages }) {
    for (const { instruction } of linesIn(stages)) {
      for (const { name, range } of namesSetBy(instruction)) {
        if (!secret.test(name) || harmless.test(name)) continue;
        const keyword = instruction.kind.toUpperCase();
        const message = `Do not use ARG or ENV instructions for sensitive data (${keyword} "${name}")`;
        yield { message, range, instruction };
      }
    }
  },
};

function namesSetBy(line: StageInstruction): { name: string; range: SourceRange }[] {
  if (line.kind === 'arg') return line.args.map(({ key }) => ({ name: key.raw, range: key.range }));
  if (line.kind === 'env') return line.pairs.map(({ key }) => ({ name: key.raw, range: key.range }));
  return [];
}
