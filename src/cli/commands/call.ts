// slipway build --check and --call: what a Dockerfile says, without building it.
import type { BuildRequest } from '../../build/request.ts';
import { BuildError, printable } from '../../errors.ts';
import { inspectDockerfile } from '../inspect-dockerfile.ts';
import type { Session } from '../session.ts';

const methods = ['check', 'outline', 'targets'];

/** @param call `check`, `outline` or `targets`, perhaps with `,format=json` */
export async function callBuild(request: BuildRequest, call: string, session: Session): Promise<void> {
  const [method = '', ...options] = call.split(',');
  const format = options.find(option => option.startsWith('format='))?.slice('format='.length) ?? 'text';
  const unknown = options.find(option => !option.startsWith('format='));
  if (!methods.includes(method) || unknown !== undefined || !['text', 'json'].includes(format)) {
    throw new BuildError('usage', `--call ${printable(call)} is not a method`, {
      hint: `use build, ${methods.join(', ')}, each with or without ,format=json`,
    });
  }
  const { findings, dockerfile, outline } = await inspectDockerfile(request, session);
  if (method === 'check') {
    const { formatFindings } = await import('../../dockerfile/lint/report.ts');
    session.out(formatFindings(findings, format as 'text' | 'json', dockerfile.file));
    if (findings.length > 0) session.status = 1;
    return;
  }
  const { describeOutline, describeTargets, outlineText, targetsText } = await import('../../plan/call.ts');
  if (method === 'outline') {
    const described = describeOutline(outline);
    session.out(format === 'json' ? `${JSON.stringify(described, null, 2)}\n` : outlineText(described));
    return;
  }
  const described = describeTargets(outline);
  session.out(format === 'json' ? `${JSON.stringify(described, null, 2)}\n` : targetsText(described));
}
