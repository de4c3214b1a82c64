// A plan as text, for a dry run and for tests: stages in the order in which they are built, one line per step and
// indented lines for what a step has besides its command. Equal plans give equal text.
import type { ContainerConfig } from '../image/config.ts';
import { formatPlatform } from '../image/platform.ts';
import type { CopyItem, CopyStep, Graph, MountSpec, Origin, PlannedStage, RunStep, Step } from './steps.ts';

/** Lines end in `\n`. */
export function explainGraph(graph: Graph): string {
  const labels = new Map(graph.stages.map(stage => [stage.index, stage.label]));
  const lines = graph.stages.flatMap(stage => [...explainStage(stage, graph, labels), '']);
  for (const { rule, message, hint } of graph.warnings) {
    lines.push(`warning ${rule}: ${message}${hint === undefined ? '' : ` (${hint})`}`);
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

type Labels = ReadonlyMap<number, string>;

function explainStage(stage: PlannedStage, graph: Graph, labels: Labels): string[] {
  const mark = stage.index === graph.target ? ', the target' : '';
  return [
    `stage ${stage.label} (${formatPlatform(stage.platform)}${mark})`,
    `  from ${originText(stage.origin, labels)}`,
    ...stage.steps.flatMap(step => explainStep(step, labels)),
    ...explainConfig(stage.config.config).map(line => `  config ${line}`),
    ...(stage.config.author === undefined ? [] : [`  author ${stage.config.author}`]),
  ];
}

function originText(origin: Origin, labels: Labels): string {
  switch (origin.kind) {
    case 'scratch':
      return 'scratch';
    case 'image':
      return `image ${origin.base}`;
    case 'stage':
      return `stage ${labels.get(origin.stage) ?? origin.stage}`;
    case 'context':
      return origin.name === undefined ? 'context' : `context ${origin.name}`;
  }
}

function explainStep(step: Step, labels: Labels): string[] {
  const details = detailsOf(step, labels).map(line => `        ${line}`);
  return [
    `  ${step.id.padEnd(5)} ${oneLine(step.display)}`,
    ...details,
    `        history ${oneLine(step.createdBy)}`,
  ];
}

/** Line ends as `\n`, so that a line stays a line. */
function oneLine(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/\r/g, '\\r');
}

function detailsOf(step: Step, labels: Labels): string[] {
  switch (step.kind) {
    case 'setting':
      return [];
    case 'workdir':
      return [`directory ${step.path}${step.user === '' ? '' : ` of ${step.user}`}`];
    case 'run':
      return runDetails(step, labels);
    case 'copy':
      return copyDetails(step, labels);
  }
}

function runDetails(step: RunStep, labels: Labels): string[] {
  return [
    `argv ${JSON.stringify(step.argv)}`,
    ...(step.script === undefined ? [] : [`script ${step.script.name} ${JSON.stringify(step.script.text)}`]),
    `env ${JSON.stringify(step.env)}`,
    ...(step.hiddenEnv.length === 0 ? [] : [`hidden env ${JSON.stringify(step.hiddenEnv)}`]),
    `in ${step.workdir}${step.user === '' ? '' : ` as ${step.user}`}`,
    ...step.mounts.map(mount => `mount ${mountText(mount, labels)}`),
    ...(step.network === 'default' ? [] : [`network ${step.network}`]),
    ...(step.security === 'sandbox' ? [] : [`security ${step.security}`]),
    ...step.devices.map(({ name, required }) => `device ${name}${required ? ' required' : ''}`),
  ];
}

function mountText(mount: MountSpec, labels: Labels): string {
  const { type } = mount;
  const values = Object.entries(mount)
    .filter(([key, value]) => key !== 'type' && value !== undefined)
    .map(([key, value]) => {
      if (typeof value === 'object') return `${key}=${originText(value, labels)}`;
      return `${key}=${key === 'mode' ? `0${Number(value).toString(8)}` : value}`;
    });
  return [type, ...values.sort()].join(' ');
}

function copyDetails(step: CopyStep, labels: Labels): string[] {
  const flags = [
    step.chown === undefined ? '' : `chown=${step.chown}`,
    step.chmod === undefined ? '' : `chmod=${step.chmod}`,
    step.link ? 'link' : '',
    step.parents ? 'parents' : '',
    ...step.excludes.map(pattern => `exclude=${pattern}`),
    step.checksum === undefined ? '' : `checksum=${step.checksum}`,
    step.keepGitDir ? 'keep-git-dir' : '',
    step.unpack === 'never' ? '' : `unpack=${step.unpack}`,
  ].filter(flag => flag !== '');
  return [
    `from ${originText(step.from, labels)}`,
    ...step.items.map(itemText),
    `to ${step.dest}`,
    ...(flags.length === 0 ? [] : [`flags ${flags.join(' ')}`]),
  ];
}

function itemText(item: CopyItem): string {
  if (item.kind === 'inline') return `inline ${item.name} ${JSON.stringify(item.text)}`;
  return item.kind === 'path' ? `path ${item.path}` : `${item.kind} ${item.url}`;
}

function explainConfig(config: ContainerConfig): string[] {
  return Object.entries(config).map(([field, value]) => `${field} ${JSON.stringify(value)}`);
}
