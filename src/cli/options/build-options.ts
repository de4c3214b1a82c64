// Flags of `slipway build`, named as docker build names them.
import { type Command, Option } from 'commander';
import { progressModes } from '../progress/progress.ts';
import { addContentTrust, type ContentTrustFlags } from './content-trust.ts';
import { addRegistryOptions, type RegistryFlags } from './registry-options.ts';
import { addRunOptions, type RunFlags } from './run-options.ts';

export interface BuildFlags extends RegistryFlags, RunFlags, ContentTrustFlags {
  readonly tag: readonly string[];
  readonly file?: string;
  readonly buildArg: readonly string[];
  readonly buildContext: readonly string[];
  readonly target?: string;
  readonly skipUnusedStages: string;
  readonly platform: readonly string[];
  readonly cache: boolean;
  /** `--no-cache-filter`; commander takes "no-" for a negation. */
  readonly cacheFilter: readonly string[];
  /** `--no-cache-mounts` */
  readonly cacheMounts: boolean;
  readonly cacheTtl?: string;
  readonly cacheMountFrom: readonly string[];
  readonly cacheMountTo: readonly string[];
  readonly cacheFrom: readonly string[];
  readonly cacheTo: readonly string[];
  readonly explain?: boolean;
  readonly offline?: boolean;
  readonly pull?: boolean | string;
  readonly squash?: boolean;
  readonly output: readonly string[];
  readonly push?: boolean;
  readonly load?: boolean;
  readonly label: readonly string[];
  readonly annotation: readonly string[];
  readonly network: string;
  readonly addHost: readonly string[];
  readonly secret: readonly string[];
  readonly ssh: readonly string[];
  readonly allow: readonly string[];
  readonly progress: string;
  readonly quiet?: boolean;
  readonly iidfile?: string;
  readonly metadataFile?: string;
  readonly check?: boolean;
  readonly call?: string;
  readonly isolation: string;
  readonly provenance?: boolean | string;
  readonly sbom?: boolean | string;
  readonly attest: readonly string[];
  readonly rm?: boolean;
  readonly forceRm?: boolean;
  readonly compress?: boolean;
}

const list = (value: string, earlier: readonly string[]) => [...earlier, value];

function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser(list).default([], 'none');
}

export function addBuildOptions(command: Command): Command {
  return addContentTrust(
    addRegistryOptions(addRunOptions(addTravelOptions(addCacheOptions(addOwnOptions(command))))),
  );
}

function addCacheOptions(command: Command): Command {
  return command
    .option('--no-cache', 'execute every step again')
    .addOption(repeated('--no-cache-filter <stages>', 'execute the steps of these stages again'))
    .option('--no-cache-mounts', 'start with empty cache mounts in the steps that are executed')
    .option('--cache-ttl <duration>', 'take no result that is older, such as 24h (default: any age)')
    .addOption(
      repeated(
        '--cache-from <spec>',
        'take results from: an image or cache in a registry, type=registry|local|s3,...',
      ),
    )
    .addOption(
      repeated(
        '--cache-to <spec>',
        'put results into: type=registry,ref=...|local,dest=...|s3,bucket=...|inline, mode=min|max',
      ),
    )
    .option('--explain', 'say of every executed step why it was not cached')
    .option('--offline', 'ask no server for anything; what is missing is an error');
}

function addTravelOptions(command: Command): Command {
  return command
    .addOption(
      repeated(
        '--cache-mount-from <spec>',
        'fill empty cache mounts: [id=name,...]type=registry,ref=...|local,src=...|s3,bucket=...',
      ),
    )
    .addOption(
      repeated(
        '--cache-mount-to <spec>',
        'keep cache mounts elsewhere too: [id=name,...]type=registry,ref=...|local,dest=...|s3,bucket=...',
      ),
    );
}

function addOwnOptions(command: Command): Command {
  return command
    .addOption(repeated('-t, --tag <name>', 'name of the image, [host/]name[:tag]; may be repeated'))
    .option('-f, --file <path>', 'Dockerfile, "-" for stdin (default: Dockerfile in the context)')
    .addOption(
      repeated(
        '--build-arg <name=value>',
        'value of an ARG; without =value it is taken from the environment',
      ),
    )
    .addOption(
      repeated(
        '--build-context <name=source>',
        'further context: directory, docker-image://, oci-layout://, target:',
      ),
    )
    .option('--target <stage>', 'stage to build, by name or index (default: the last one)')
    .addOption(
      new Option('--skip-unused-stages <bool>', 'false: build the stages that the target does not need, too')
        .choices(['true', 'false'])
        .default('true'),
    )
    .addOption(
      repeated(
        '--platform <os/arch[/variant]>',
        'platforms of the image, separated by commas (default: that of this machine)',
      ),
    )
    .option('--pull [policy]', 'look base images up again: true (always), missing, never')
    .option('--squash', 'put everything this build adds into one layer on top of the base')
    .addOption(
      repeated('-o, --output <spec>', 'where the result goes: type=docker|oci|tar|local|registry,dest=...'),
    )
    .option('--push', 'push the image to its names; same as -o type=registry')
    .option('--load', 'hand the image over to the Docker or Podman engine of DOCKER_HOST or this machine')
    .addOption(repeated('--label <name=value>', 'label of the image'))
    .addOption(repeated('--annotation <name=value>', 'annotation of the manifest'))
    .addOption(
      new Option(
        '--network <mode>',
        'network of RUN: that of this machine (default, host), none, or private through pasta or slirp4netns',
      )
        .choices(['default', 'host', 'none', 'private'])
        .default('default'),
    )
    .addOption(
      repeated('--add-host <name:ip>', 'line for /etc/hosts during RUN; host-gateway is this machine'),
    )
    .addOption(
      repeated('--secret <spec>', 'secret for RUN --mount=type=secret: id=name[,src=path|,env=NAME]'),
    )
    .addOption(repeated('--ssh <spec>', 'agent for RUN --mount=type=ssh: default, id=socket or id=key[,key]'))
    .addOption(
      repeated(
        '--allow <entitlement>',
        'let the Dockerfile use security.insecure, network.host, device (any) or device=NAME[,alias=WORD]; buildx.local.delete',
      ),
    )
    .addOption(
      new Option('--isolation <rung>', 'how RUN is confined')
        .choices(['auto', 'default', 'oci', 'namespace', 'chroot', 'proot'])
        .default('auto'),
    )
    .addOption(
      new Option('--progress <mode>', 'how progress is shown').choices(progressModes).default('auto'),
    )
    .option('--provenance [mode]', 'only false: no attestations are made')
    .option('--sbom [mode]', 'only false: no attestations are made')
    .addOption(repeated('--attest <spec>', 'only type=...,disabled=true: no attestations are made'))
    .option('-q, --quiet', 'print nothing but the image id')
    .option('--iidfile <path>', 'write the image id to this file')
    .option('--metadata-file <path>', 'write what was built to this file as JSON')
    .option('--check', 'check the Dockerfile, build nothing')
    .option('--call <method>', 'build, check, outline or targets, with ",format=json" for JSON')
    .addOption(new Option('--rm').hideHelp())
    .addOption(new Option('--force-rm').hideHelp())
    .addOption(new Option('--compress').hideHelp());
}

/** As if no flag had been given. */
export const buildDefaults: BuildFlags = {
  tag: [],
  buildArg: [],
  buildContext: [],
  platform: [],
  skipUnusedStages: 'true',
  cache: true,
  cacheFilter: [],
  cacheMounts: true,
  cacheMountFrom: [],
  cacheMountTo: [],
  cacheFrom: [],
  cacheTo: [],
  output: [],
  label: [],
  annotation: [],
  network: 'default',
  addHost: [],
  ulimit: [],
  dns: [],
  dnsSearch: [],
  dnsOption: [],
  capAdd: [],
  capDrop: [],
  securityOpt: [],
  device: [],
  cdiSpecDir: [],
  resource: [],
  volume: [],
  secret: [],
  ssh: [],
  allow: [],
  attest: [],
  progress: 'auto',
  isolation: 'auto',
};
