// A cgroup for one step, with the limits that were asked for. Where the machine does not let one be made, or lacks the
// controller, that is an error: a limit is kept or refused.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError, errnoOf, messageOf, printable } from '../errors.ts';
import { inUserNamespace } from '../host/ids.ts';
import { readOr } from '../host/probe.ts';
import { type Hierarchy, hasUnifiedCgroups, hierarchies, removeCgroup } from './cgroups.ts';
import { call, type LauncherStep, named } from './launcher/launcher.ts';
import { reportFd } from './launcher/supervise.ts';
import { type CgroupValue, cgroupValues, parseCpuList, type StepResources } from './resources.ts';
import type { Rung } from './rung.ts';

const AT_FDCWD = -100;
const O_WRONLY = 1;
/** A runtime makes its own below, since it wants one that nothing else is in. */
const RUNTIME_CHILD = 'step';

export interface StepCgroup {
  /**
   * Calls by which a process puts itself, and whatever it will start, into the cgroup.
   * @param free its first free descriptor; default the one behind the report
   */
  join(free?: number): readonly LauncherStep[];
  /** As a runtime configuration has it. */
  readonly runtimePath: string;
  /** @param killed the step was ended by SIGKILL, or says that something in it was */
  ranOutOfMemory(killed: boolean): boolean;
  /** Idempotent. What still holds processes is left to a later run. */
  remove(): void;
}

/** A cgroup in one hierarchy. */
interface Made {
  readonly hierarchy: Hierarchy;
  readonly path: string;
}

/**
 * @param name of the new cgroup
 * @throws BuildError `sandbox` naming the flag, the sandbox and the reason
 */
export function makeStepCgroup(
  resources: StepResources,
  name: string,
  rung: Pick<Rung, 'name' | 'cgroupsFromTop'>,
): StepCgroup {
  return new Maker(resources, name, rung).make();
}

class Maker {
  readonly #resources: StepResources;
  readonly #name: string;
  readonly #rung: string;
  /** Of version 1: what has no other place is made below the topmost cgroup, not below slipway's own. */
  readonly #fromTop: boolean;
  readonly #made: Made[] = [];
  readonly #all = hierarchies();

  constructor(resources: StepResources, name: string, rung: Pick<Rung, 'name' | 'cgroupsFromTop'>) {
    this.#resources = resources;
    this.#name = name;
    this.#rung = rung.name;
    this.#fromTop = rung.cgroupsFromTop === true;
  }

  make(): StepCgroup {
    try {
      for (const hierarchy of this.#all) this.#makeIn(hierarchy);
      this.#refuseMissing();
    } catch (error) {
      this.#remove();
      throw error;
    }
    const directories = this.#made.map(({ path }) => path);
    return {
      join: (free = reportFd + 1) => directories.flatMap(path => joinSteps(path, free)),
      runtimePath: this.#runtimePath(),
      ranOutOfMemory: killed => this.#made.some(made => ranOutOfMemory(made, killed)),
      remove: () => this.#remove(),
    };
  }

  /** What this hierarchy is to hold: of version 2, no controller that a version 1 hierarchy has. */
  #valuesIn({ version, controllers }: Hierarchy): readonly CgroupValue[] {
    return cgroupValues(this.#resources, version).filter(({ controller }) =>
      controllers.includes(controller),
    );
  }

  #makeIn(hierarchy: Hierarchy): void {
    const values = this.#valuesIn(hierarchy);
    const { cgroupParent } = this.#resources;
    if (values.length === 0 && cgroupParent === undefined) return;
    const flag = values[0]?.flag ?? '--cgroup-parent';
    const base = this.#base(hierarchy, values, flag);
    if (base === undefined) return;
    const path = join(base, this.#name);
    try {
      mkdirSync(path);
    } catch (error) {
      throw this.#refuse(flag, `no cgroup can be made in ${base} (${errnoOf(error) ?? messageOf(error)})`);
    }
    this.#made.push({ hierarchy, path });
    if (hierarchy.version === 1 && hierarchy.controllers.includes('cpuset')) inheritCpuset(base, path);
    for (const value of values) this.#write(value, path, base, hierarchy);
  }

  /** The cgroup to make it in. @returns undefined when it is not needed in this hierarchy */
  #base(hierarchy: Hierarchy, values: readonly CgroupValue[], flag: string): string | undefined {
    const { cgroupParent } = this.#resources;
    const { top, own, version } = hierarchy;
    const controllers = [...new Set(values.map(({ controller }) => controller))];
    if (cgroupParent === undefined) {
      if (version === 1) return this.#fromTop ? top : own;
      const usable = ancestors(own, top).find(each => canHold(each, controllers) && canMove(own, each));
      if (usable !== undefined) return usable;
      throw this.#refuse(
        flag,
        `no cgroup from ${own} up to ${top} passes on the controllers ${controllers.join(', ')} to this user`,
      );
    }
    const parent = join(cgroupParent.startsWith('/') ? top : own, cgroupParent);
    if (version === 1 && this.#fromTop && !cgroupParent.startsWith('/') && own !== top) {
      const hint = 'say where it is from the top, with / at the start';
      throw this.#refuse('--cgroup-parent', 'crun takes one path for all hierarchies', hint);
    }
    if (!existsSync(parent)) {
      if (values.length === 0) return undefined;
      throw this.#refuse('--cgroup-parent', `there is no cgroup ${parent}`, `make it: mkdir ${parent}`);
    }
    if (version === 1 || canHold(parent, controllers)) return parent;
    throw this.#refuse(flag, `${parent} does not pass on the controllers ${controllers.join(', ')}`);
  }

  #write(value: CgroupValue, path: string, base: string, { version }: Hierarchy): void {
    if (value.controller === 'cpuset') this.#refuseAbsent(value, base, version);
    const file = join(path, value.file);
    if (!existsSync(file)) {
      if (value.optional) return;
      throw this.#refuse(value.flag, `the kernel does not count this (there is no ${value.file})`);
    }
    try {
      writeFileSync(file, value.value);
    } catch (error) {
      if (value.optional) return;
      const why = errnoOf(error) ?? messageOf(error);
      throw this.#refuse(
        value.flag,
        `the kernel refuses ${printable(value.value)} for ${value.file} (${why})`,
      );
    }
  }

  /** Version 2 takes processors that do not exist, and then gives all. */
  #refuseAbsent({ file, value, flag }: CgroupValue, base: string, version: 1 | 2): void {
    const there = readOr(join(base, version === 1 ? file : `${file}.effective`), '').trim();
    const known = parseCpuList(there);
    if (known === undefined || known.size === 0) return;
    const missing = [...(parseCpuList(value) ?? [])].find(each => !known.has(each));
    if (missing !== undefined) throw this.#refuse(flag, `there is no ${missing} here, only ${there}`);
  }

  #refuseMissing(): void {
    const held = new Set(this.#made.flatMap(({ hierarchy }) => hierarchy.controllers));
    const lacking = cgroupValues(this.#resources, 1).find(({ controller }) => !held.has(controller));
    if (lacking !== undefined) {
      throw this.#refuse(
        lacking.flag,
        `this machine has no cgroups with the controller ${lacking.controller}`,
      );
    }
    const { cgroupParent } = this.#resources;
    if (this.#made.length > 0 || cgroupParent === undefined) return;
    throw this.#refuse('--cgroup-parent', `there is no cgroup ${printable(cgroupParent)}`);
  }

  /** Of version 1, a path without '/' is one below the runtime's own cgroup in each hierarchy; crun knows no such paths. */
  #runtimePath(): string {
    const { cgroupParent = '' } = this.#resources;
    const unified = this.#made[0];
    if (hasUnifiedCgroups() && unified !== undefined) {
      return join('/', unified.path.slice(unified.hierarchy.top.length), RUNTIME_CHILD);
    }
    return join(this.#fromTop ? '/' : '', cgroupParent, this.#name, RUNTIME_CHILD);
  }

  /** Also where a runtime has made what was not asked of it. */
  #remove(): void {
    const { cgroupParent = '' } = this.#resources;
    const elsewhere = this.#all.map(({ top, own }) =>
      join(cgroupParent.startsWith('/') || this.#fromTop ? top : own, cgroupParent, this.#name),
    );
    for (const path of new Set([...this.#made.map(made => made.path), ...elsewhere])) removeCgroup(path);
  }

  #refuse(flag: string, why: string, hint?: string): BuildError {
    return new BuildError('sandbox', `${flag} cannot be kept with --isolation=${this.#rung}: ${why}`, {
      hint:
        hint ??
        (process.geteuid?.() === 0 && !inUserNamespace()
          ? 'leave the limit to whatever runs slipway, or give slipway writable cgroups'
          : 'start slipway in a delegated cgroup: systemd-run --user --scope -p Delegate=yes slipway ...'),
    });
  }
}

/** A new cpuset of version 1 is empty, and then takes no process. */
function inheritCpuset(base: string, path: string): void {
  for (const file of ['cpuset.mems', 'cpuset.cpus']) {
    writeFileSync(join(path, file), readFileSync(join(base, file)));
  }
}

/** From a directory up to the topmost. */
function ancestors(own: string, top: string): readonly string[] {
  return own === top || !own.startsWith(top) ? [top] : [own, ...ancestors(dirname(own), top)];
}

/** Whether what is below may have these controllers. They are switched on when they are not: nothing loses by that. */
function canHold(path: string, controllers: readonly string[]): boolean {
  if (controllers.length > 0 && holdsProcesses(path)) return false;
  const file = join(path, 'cgroup.subtree_control');
  const on = () => readOr(file, '').trim().split(' ');
  for (const controller of controllers.filter(each => !on().includes(each))) {
    try {
      writeFileSync(file, `+${controller}`);
    } catch {
      return false;
    }
  }
  return isWritable(path);
}

/** Then what is below can have no controllers, except below the topmost of all, which has no type. */
function holdsProcesses(path: string): boolean {
  return existsSync(join(path, 'cgroup.type')) && readOr(join(path, 'cgroup.procs'), '').trim() !== '';
}

/** A process may be moved by who may write to the cgroup that both places are in. */
function canMove(own: string, base: string): boolean {
  return own.startsWith(base) && isWritable(join(base, 'cgroup.procs'));
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function joinSteps(path: string, fd: number): readonly LauncherStep[] {
  const purpose = `enter the cgroup ${path}`;
  return [
    {
      kind: 'call',
      call: 'openat',
      args: [AT_FDCWD, join(path, 'cgroup.procs'), O_WRONLY],
      expect: fd,
      purpose,
    },
    named(purpose, call('write', fd, '0', 1)),
    call('close', fd),
  ];
}

/** Version 1 counts kills for each cgroup alone, and a runtime's is gone by now; that the limit was met, it counts here. */
function ranOutOfMemory({ hierarchy, path }: Made, killed: boolean): boolean {
  if (!hierarchy.controllers.includes('memory')) return false;
  if (hierarchy.version === 2) return countIn(join(path, 'memory.events'), 'oom_kill') > 0;
  if (countIn(join(path, 'memory.oom_control'), 'oom_kill') > 0) return true;
  return killed && Number(readOr(join(path, 'memory.failcnt'), '0')) > 0;
}

function countIn(file: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(readOr(file, ''))?.[1] ?? 0);
}
