// The first WORKDIR of a stage is relative to one of the base image, which may change. What the image says does not
// count; a WORKDIR of a stage below does.
import { type Rule, ruleUrl } from '../rule.ts';
import { expandSafely } from '../subject.ts';

export const workdirRelativePath: Rule = {
  name: 'WorkdirRelativePath',
  description: 'The first WORKDIR is absolute',
  url: ruleUrl('WorkdirRelativePath'),
  bad: 'FROM scratch\nWORKDIR app\n',
  good: 'FROM scratch\nWORKDIR /srv\nWORKDIR app\n',
  *check({ dockerfile, stages }) {
    for (const stage of stages) {
      if (stage.isWorkdirSet) continue;
      const line = [...stage.triggers, ...stage.lines].find(
        ({ instruction }) => instruction.kind === 'workdir',
      );
      if (line === undefined || line.instruction.kind !== 'workdir') continue;
      const { value: path } = expandSafely(line.instruction.value, line.env, dockerfile);
      if (path.startsWith('/')) continue;
      const message = `Relative workdir "${path}" can have unexpected results if the base image changes`;
      yield { message, range: line.instruction.range, instruction: line.instruction };
    }
  },
};
