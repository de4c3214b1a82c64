// What `docker image inspect` says about an image, in its shape: https://docs.docker.com/reference/cli/docker/image/inspect/
import type { ContainerConfig, ImageConfig } from '../image/config.ts';
import { type Descriptor, descriptorToJson } from '../image/descriptor.ts';
import type { Digest } from '../image/digest.ts';

export interface InspectSubject {
  readonly id: Digest;
  readonly descriptor: Descriptor;
  readonly config: ImageConfig;
  /** In short form. */
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  /** Bytes of all files in all layers. */
  readonly size: number;
  /** RFC 3339; absent for an image that is not in the local store. */
  readonly touchedAt?: string;
}

/** Field order and empty values as docker prints them. */
export function inspectImage(subject: InspectSubject): Record<string, unknown> {
  const { config, size } = subject;
  const { platform } = config;
  return {
    Id: subject.id,
    RepoTags: subject.repoTags,
    RepoDigests: subject.repoDigests,
    Parent: '',
    Comment: textOf(config.rest.comment) || (config.history.at(-1)?.comment ?? ''),
    Created: goTimestamp(config.created ?? ''),
    DockerVersion: textOf(config.rest.docker_version),
    Author: config.author ?? '',
    Config: containerConfig(config.config),
    Architecture: platform.architecture,
    ...(platform.variant ? { Variant: platform.variant } : {}),
    Os: platform.os,
    ...(platform.osVersion ? { OsVersion: platform.osVersion } : {}),
    Size: size,
    VirtualSize: size,
    RootFS: {
      Type: 'layers',
      ...(config.diffIds.length > 0 ? { Layers: config.diffIds } : {}),
    },
    Metadata: { LastTagTime: subject.touchedAt ?? '0001-01-01T00:00:00Z' },
    Descriptor: descriptorToJson(subject.descriptor),
  };
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Docker's container.Config, with what an image leaves out; fields it does not know come last. */
function containerConfig(config: ContainerConfig): Record<string, unknown> {
  const some = (name: keyof ContainerConfig) => (config[name] === undefined ? {} : { [name]: config[name] });
  const shown = {
    Hostname: config.Hostname ?? '',
    Domainname: config.Domainname ?? '',
    User: config.User ?? '',
    AttachStdin: config.AttachStdin ?? false,
    AttachStdout: config.AttachStdout ?? false,
    AttachStderr: config.AttachStderr ?? false,
    ...some('ExposedPorts'),
    Tty: config.Tty ?? false,
    OpenStdin: config.OpenStdin ?? false,
    StdinOnce: config.StdinOnce ?? false,
    Env: config.Env ?? null,
    Cmd: config.Cmd ?? null,
    ...some('Healthcheck'),
    ...some('ArgsEscaped'),
    Image: config.Image ?? '',
    Volumes: config.Volumes ?? null,
    WorkingDir: config.WorkingDir ?? '',
    Entrypoint: config.Entrypoint ?? null,
    ...some('NetworkDisabled'),
    ...some('MacAddress'),
    OnBuild: config.OnBuild ?? null,
    Labels: config.Labels ?? null,
    ...some('StopSignal'),
    ...some('StopTimeout'),
    ...some('Shell'),
  };
  const rest = Object.entries(config).filter(([key]) => !(key in shown));
  return { ...shown, ...Object.fromEntries(rest) };
}

/** Without the zeros at the end of a fraction, as Go writes it. */
function goTimestamp(text: string): string {
  return text.replace(/(\.\d*?)0+(?=Z|[+-]\d\d:\d\d$)/, '$1').replace(/\.(?=Z|[+-]\d\d:\d\d$)/, '');
}
