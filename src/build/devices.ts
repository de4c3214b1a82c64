// RUN --device, and --device of the command line with the name of a device: which devices of this machine are meant
// (docs.docker.com/build/building/cdi), and whether a step may have them. Found before anything is executed.
import { parseBoolean } from '../dockerfile/directives.ts';
import { suggest } from '../dockerfile/suggest.ts';
import { BuildError, printable, type SourceRange } from '../errors.ts';
import type { DeviceRequest, PlannedStage, RunStep } from '../plan/steps.ts';
import { type GivenDevices, givenDevices } from '../sandbox/cdi/edits.ts';
import { type CdiInventory, findCdiDevices } from '../sandbox/cdi/find.ts';
import { defaultSpecDirs, parseDeviceName } from '../sandbox/cdi/names.ts';
import type { CdiDevice } from '../sandbox/cdi/specification.ts';
import type { BuildRequest, DeviceAllowance } from './request.ts';
import type { Tools } from './tools.ts';

/** What each RUN is given, by step id. Steps without devices are not in it. */
export type StepDevices = ReadonlyMap<string, GivenDevices>;

const classAnnotation = 'org.mobyproject.buildkit.device.class';
const allowAnnotation = 'org.mobyproject.buildkit.device.autoallow';

/**
 * @throws BuildError `sandbox` for a required device that is not there, `usage` for one that is not allowed,
 *   `unsupported` for one that slipway cannot give
 */
export async function findStepDevices(
  stages: readonly PlannedStage[],
  request: BuildRequest,
  tools: Pick<Tools, 'emit' | 'now'>,
): Promise<StepDevices> {
  const runs = stages.flatMap(({ steps }) => steps.flatMap(step => (step.kind === 'run' ? [step] : [])));
  const always = request.cdiDevices ?? [];
  const asking = runs.filter(step => step.devices.length + always.length > 0);
  if (asking.length === 0) return new Map();
  const chooser = new Chooser(
    await findCdiDevices(request.cdiSpecDirs ?? defaultSpecDirs),
    request.allowDevices,
  );
  return new Map(
    asking.map(step => {
      const forAll = always.flatMap(name => chooser.given(name));
      const own = step.devices.flatMap(device => chooser.allowed(device, step, tools));
      return [step.id, givenDevices([...forAll, ...own])];
    }),
  );
}

/** The devices that there are, for people and scripts. */
export async function describeDevices(dirs: readonly string[]): Promise<{
  readonly known: readonly { readonly name: string; readonly file: string; readonly allowed: boolean }[];
  /** What is wrong with specifications, a line each. */
  readonly faults: readonly string[];
}> {
  const { devices, faults } = await findCdiDevices(dirs);
  const known = [...devices.values()].map(device => ({
    name: device.name,
    file: device.file,
    allowed: isForAnybody(device) && !hasHooks(device),
  }));
  return { known, faults };
}

/** As its specification says. */
function isForAnybody({ annotations }: CdiDevice): boolean {
  return parseBoolean(annotations.get(allowAnnotation) ?? '') === true;
}

function hasHooks({ edits, common }: CdiDevice): boolean {
  return edits.hooks.length + common.hooks.length > 0;
}

class Chooser {
  readonly #inventory: CdiInventory;
  readonly #allowance: DeviceAllowance;
  /** Names of devices that the user named. */
  readonly #granted: ReadonlySet<string>;
  readonly #warned = new Set<string>();

  constructor(inventory: CdiInventory, allowance: DeviceAllowance = { all: false, names: [] }) {
    this.#inventory = inventory;
    this.#allowance = allowance;
    this.#granted = new Set(
      allowance.names.flatMap(({ name }) => (this.#find(name) ?? []).map(device => device.name)),
    );
  }

  /** A device of the command line. */
  given(name: string): readonly CdiDevice[] {
    const found = this.#find(name) ?? [];
    if (found.length === 0) throw this.#missing(name, `--device ${printable(name)}`);
    return found;
  }

  allowed({ name, required }: DeviceRequest, step: RunStep, tools: Pick<Tools, 'emit' | 'now'>) {
    const asked = this.#allowance.names.find(({ alias }) => alias === name)?.name ?? name;
    const flag = `RUN --device=${printable(name)}`;
    const found = this.#find(asked);
    if (found === undefined) throw noName(flag, step.range);
    if (found.length === 0) {
      const missing = this.#missing(asked, flag, step.range);
      if (required) throw missing;
      this.#warn(missing, step.range, tools);
    }
    for (const device of found) this.#refuseForbidden(device, flag, step.range);
    return found;
  }

  /** The devices that a name means; undefined: it is none. */
  #find(text: string): readonly CdiDevice[] | undefined {
    const asked = parseDeviceName(text);
    if (asked === undefined) return undefined;
    const all = [...this.#inventory.devices.values()].filter(({ kind }) => kind === asked.kind);
    if (asked.name === '') return all.slice(0, 1);
    if (asked.name === '*') return all;
    const exact = this.#inventory.devices.get(text);
    return exact === undefined
      ? all.filter(({ annotations }) => annotations.get(classAnnotation) === asked.name)
      : [exact];
  }

  #refuseForbidden(device: CdiDevice, flag: string, range: SourceRange): void {
    const isGranted = this.#allowance.all || this.#granted.has(device.name);
    if (isGranted) return;
    const means = flag.endsWith(`=${device.name}`) ? '' : `, which means ${device.name},`;
    const hint = `pass --allow device=${device.name}`;
    if (!isForAnybody(device)) {
      throw new BuildError('usage', `${flag}${means} was not allowed`, { hint, range });
    }
    // That anybody may have a device is no word on who may have programs started on this machine.
    if (!hasHooks(device)) return;
    throw new BuildError(
      'usage',
      `${flag}${means} was not allowed: it has hooks, programs that are started on this machine`,
      { hint, range },
    );
  }

  #missing(name: string, flag: string, range?: SourceRange): BuildError {
    const known = [...this.#inventory.devices.keys()];
    const near = suggest(name, known);
    const hint =
      near === undefined
        ? known.length === 0
          ? 'devices are described in files of these directories, by their vendors'
          : `there are: ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', ...' : ''}`
        : `did you mean ${near}?`;
    return new BuildError('sandbox', `${flag}: no such device is described on this machine`, {
      hint,
      output: [...this.#inventory.searched, ...this.#inventory.faults],
      ...(range === undefined ? {} : { range }),
    });
  }

  /** Once for each device: its step goes without. */
  #warn({ message, hint, output }: BuildError, range: SourceRange, tools: Pick<Tools, 'emit' | 'now'>): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    const searched = `${message}, and it is not required (${output.join('; ')})`;
    tools.emit({
      kind: 'warning',
      diagnostic: {
        severity: 'warning',
        rule: 'missing-device',
        message: searched,
        ...(hint === undefined ? {} : { hint }),
        range,
      },
      atMs: tools.now(),
    });
  }
}

function noName(flag: string, range: SourceRange): BuildError {
  return new BuildError('dockerfile', `${flag} is no name of a device`, {
    hint: 'write vendor.com/class=name, vendor.com/class=* for all of a class, or vendor.com/class for the first',
    range,
  });
}
