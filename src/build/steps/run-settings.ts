// What the user asks for every RUN (flags of slipway build), as ingredients of its key: what a step can do and see is one,
// how much it may use is not (cache/README.md).
import type { KeyPart } from '../../cache/key.ts';
import { digestOf } from '../../image/digest.ts';
import type { GivenDevices } from '../../sandbox/cdi/edits.ts';
import type { StepSettings } from '../../sandbox/sandbox.ts';

export function settingParts(settings: StepSettings = {}): readonly KeyPart[] {
  const { capabilities, seccomp, noNewPrivileges, devices = [], volumes = [] } = settings;
  const list = (name: string, words: readonly string[] = []) =>
    words.length === 0 ? [] : [{ name, value: [...new Set(words)].sort().join(',') }];
  return [
    ...list('--cap-add', capabilities?.add),
    ...list('--cap-drop', capabilities?.drop),
    ...(seccomp === undefined
      ? []
      : [{ name: 'seccomp', value: seccomp === 'unconfined' ? seccomp : digestOf(seccomp.text) }]),
    ...(noNewPrivileges ? [{ name: 'no-new-privileges', value: 'true' }] : []),
    ...devices.map(({ source, target, access }) => ({
      name: `--device ${target}`,
      value: `${source} ${access}`,
    })),
    ...volumes.map(({ target, access, chown }) => ({
      name: `--volume ${target}`,
      value: chown ? `${access} chown` : access,
    })),
  ];
}

/** Which devices there were, and the variables that they set: neither where they are here nor what they are like. */
export function deviceParts(devices: GivenDevices | undefined): readonly KeyPart[] {
  if (devices === undefined) return [];
  const values = new Map(
    devices.env.map(entry => {
      const at = entry.indexOf('=');
      return [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
  return [
    { name: 'device found', value: [...devices.names].sort().join(' ') },
    ...[...values]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name: `device env ${name}`, value })),
  ];
}
