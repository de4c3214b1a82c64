// What the ignore file leaves out can not be copied. With a `!` line in it a path alone does not tell.
import { type Rule, ruleUrl } from '../rule.ts';
import { contextPath, expandSafely } from '../subject.ts';

export const copyIgnoredFile: Rule = {
  name: 'CopyIgnoredFile',
  description: 'COPY and ADD name no file that the ignore file leaves out',
  url: ruleUrl('CopyIgnoredFile'),
  bad: 'FROM scratch\nCOPY ignored.txt /\n',
  good: 'FROM scratch\nCOPY kept.txt /\n',
  *check({ dockerfile, stages, context }) {
    const { ignoredSource, hasNegatedIgnore } = context;
    if (ignoredSource === undefined || hasNegatedIgnore) return;
    for (const { instruction, env } of stages.flatMap(stage => stage.lines)) {
      if (instruction.kind !== 'copy' && instruction.kind !== 'add') continue;
      if (instruction.from?.raw) continue;
      for (const source of instruction.sources) {
        if ('body' in source) continue;
        const { value } = expandSafely(source, env, dockerfile);
        const path = contextPath(value);
        if (path === '' || isRemote(value) || !ignoredSource(path)) continue;
        const verb = instruction.kind === 'add' ? 'Add' : 'Copy';
        const message = `Attempting to ${verb} file "${value}" that is excluded by .dockerignore`;
        yield { message, range: source.range, instruction };
      }
    }
  },
};

function isRemote(source: string): boolean {
  return /^(?:https?|git|ssh):\/\/|^[A-Za-z0-9_-]+@[A-Za-z0-9.-]+:/.test(source);
}
