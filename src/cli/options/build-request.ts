// argv and environment -> BuildRequest. Every value is checked here; what build/ gets is typed and complete.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { type CacheTarget, parseCacheSource, parseCacheTarget } from '../../build/cache-spec.ts';
import type { BuildRequest, PullPolicy } from '../../build/request.ts';
import { parseBoolean } from '../../dockerfile/directives.ts';
import { BuildError, messageOf, printable } from '../../errors.ts';
import { type OutputSpec, parseOutput } from '../../export/output-spec.ts';
import { formatPlatform, hostPlatform, parsePlatform } from '../../image/platform.ts';
import { parseReference, type Reference, withDefaultTag } from '../../image/reference.ts';
import { parseAge } from './age.ts';
import type { BuildFlags } from './build-options.ts';
import { parseMountSource, parseMountTarget } from './cache-mount-options.ts';
import { cdiOf, entitlements } from './entitlements.ts';
import { runSettings } from './run-options.ts';
import { parseSsh } from './ssh-options.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** @throws BuildError `usage` for every value that cannot be understood */
export function makeBuildRequest(context: string, flags: BuildFlags, env: Env, cwd: string): BuildRequest {
  if (context === '-' && flags.file === '-') {
    throw usage(
      'the context and the Dockerfile cannot both come from stdin',
      'write the Dockerfile to a file, or give a directory',
    );
  }
  refuseAttestations(flags);
  const tags = flags.tag.map(parseTag);
  return {
    context,
    ...(flags.file === undefined ? {} : { file: flags.file }),
    cwd,
    buildArgs: buildArgs(flags.buildArg, env),
    ...(flags.target === undefined ? {} : { target: flags.target }),
    ...(flags.skipUnusedStages === 'false' ? { keepUnused: true } : {}),
    ...platforms(flags.platform?.length ? flags.platform : [env.DOCKER_DEFAULT_PLATFORM ?? '']),
    namedContexts: pairs(flags.buildContext, '--build-context'),
    tags,
    labels: pairs(flags.label, '--label', true),
    annotations: pairs(flags.annotation, '--annotation'),
    outputs: outputs(flags, tags),
    squash: flags.squash ?? false,
    noCache: !flags.cache,
    noCacheFilter: flags.cacheFilter
      .flatMap(value => value.split(','))
      .map(name => name.trim().toLowerCase())
      .filter(name => name !== ''),
    ...(flags.cacheTtl === undefined ? {} : { cacheTtlMs: parseAge(flags.cacheTtl, '--cache-ttl') }),
    ...(flags.cacheMounts ? {} : { freshCacheMounts: true }),
    cacheMountFrom: flags.cacheMountFrom.map(text => parseMountSource(text, cwd)),
    cacheMountTo: flags.cacheMountTo.map(text => parseMountTarget(text, cwd)),
    cacheFrom: flags.cacheFrom.map(parseCacheSource),
    cacheTo: cacheTargets(flags),
    explain: flags.explain ?? false,
    offline: isOffline(flags),
    pull: pullPolicy(flags.pull),
    network: flags.network as BuildRequest['network'],
    extraHosts: flags.addHost.map(parseHost),
    run: runSettings(flags, cwd),
    secrets: new Map(flags.secret.map(spec => parseSecret(spec, env, cwd))),
    ssh: parseSsh(flags.ssh, env, cwd),
    ...entitlements(flags.allow),
    ...cdiOf(flags, cwd),
  };
}

function cacheTargets(flags: BuildFlags): CacheTarget[] {
  const targets = flags.cacheTo.map(parseCacheTarget);
  const arg = flags.buildArg.findLast(item => item.startsWith('BUILDKIT_INLINE_CACHE='));
  const isInline = targets.some(({ kind }) => kind === 'inline');
  if (!isInline && parseBoolean(arg?.replace(/^.*?=/, '') ?? '')) targets.push({ kind: 'inline' });
  if (flags.squash && targets.some(({ kind }) => kind === 'inline')) {
    throw usage('--squash does not go with an inline cache: the layers of the steps are not in the image');
  }
  return targets;
}

/** Scripts switch them off for registries that do not take them, which is how it is here in any case. */
function refuseAttestations({ provenance = false, sbom = false, attest }: BuildFlags): void {
  const asked = [
    ...(isOff(provenance) ? [] : ['--provenance']),
    ...(isOff(sbom) ? [] : ['--sbom']),
    ...attest
      .filter(spec => !/(?:^|,)disabled=(?:true|1)(?:,|$)/i.test(spec))
      .map(spec => `--attest ${spec}`),
  ];
  const [first] = asked;
  if (first === undefined) return;
  throw new BuildError('unsupported', `${printable(first)}: slipway makes no attestations`, {
    hint: 'leave the flag away; --provenance=false and --sbom=false are accepted',
  });
}

function isOff(value: boolean | string): boolean {
  return value === false || /^(?:false|0|f)$/i.test(String(value));
}

function isOffline(flags: BuildFlags): boolean {
  if (!flags.offline) return false;
  if (flags.cacheTo.some(text => ['registry', 's3'].includes(parseCacheTarget(text).kind))) {
    throw usage('--offline does not go with a cache on a server', 'use --cache-to type=local,dest=DIRECTORY');
  }
  if (flags.push || flags.output.some(text => /(?:^|,)(?:type=registry|push=true)(?:,|$)/.test(text))) {
    throw usage('--offline does not go with pushing to a registry');
  }
  for (const text of [...flags.cacheMountFrom, ...flags.cacheMountTo]) {
    const type = /(?:^|,)type=(registry|s3)(?:,|$)/.exec(text)?.[1];
    if (type === undefined) continue;
    throw usage(`--offline does not go with cache mounts in a ${type === 's3' ? 'bucket' : type}`);
  }
  if (flags.pull !== undefined && pullPolicy(flags.pull) === 'always') {
    throw usage('--offline does not go with --pull');
  }
  return true;
}

function usage(message: string, hint?: string): BuildError {
  return new BuildError('usage', message, hint === undefined ? {} : { hint });
}

function parseTag(text: string): Reference {
  const ref = parseReference(text);
  if (ref.digest) throw usage(`-t ${printable(text)}: a name for a new image cannot have a digest`);
  return withDefaultTag(ref);
}

/** `--platform a,b --platform c`; `local` is this machine's. Each platform counts once. */
function platforms(texts: readonly string[]): Pick<BuildRequest, 'platform' | 'platforms'> {
  const parsed = texts
    .flatMap(text => text.split(','))
    .map(text => text.trim())
    .filter(text => text !== '')
    .map(text => (text === 'local' ? hostPlatform() : parsePlatform(text)));
  const all = [...new Map(parsed.map(each => [formatPlatform(each), each] as const)).values()];
  const [first] = all;
  if (first === undefined) return {};
  return { platform: first, ...(all.length > 1 ? { platforms: all } : {}) };
}

/** `--build-arg NAME` without a value takes it from the environment; unset there, it is not passed at all (as docker). */
function buildArgs(list: readonly string[], env: Env): Map<string, string> {
  const args = new Map<string, string>();
  for (const item of list) {
    const at = item.indexOf('=');
    const name = at < 0 ? item : item.slice(0, at);
    if (name === '')
      throw usage(`--build-arg ${printable(item)} has no name`, 'write --build-arg NAME=value');
    const value = at < 0 ? env[name] : item.slice(at + 1);
    if (value !== undefined) args.set(name, value);
  }
  // Like docker buildx: an ARG of this name sees the environment's without being asked for.
  if (env.SOURCE_DATE_EPOCH && !args.has('SOURCE_DATE_EPOCH')) {
    args.set('SOURCE_DATE_EPOCH', env.SOURCE_DATE_EPOCH);
  }
  return args;
}

function pairs(list: readonly string[], flag: string, valueOptional = false): Map<string, string> {
  return new Map(
    list.map(item => {
      const at = item.indexOf('=');
      if (at === 0 || (at < 0 && !valueOptional)) throw usage(`${flag} ${printable(item)} is not name=value`);
      return at < 0 ? [item, ''] : [item.slice(0, at), item.slice(at + 1)];
    }),
  );
}

function outputs(flags: BuildFlags, tags: readonly Reference[]): OutputSpec[] {
  const specs = flags.output.map(text => parseOutput(text));
  if (flags.push && !specs.some(spec => spec.kind === 'registry')) specs.push(parseOutput('type=registry'));
  for (const spec of specs) {
    if (spec.kind === 'registry' && tags.length === 0 && !spec.names?.length) {
      throw usage('pushing needs a name for the image', 'add -t HOST/NAME:TAG');
    }
    if (flags.iidfile && (spec.kind === 'local' || spec.kind === 'tar')) {
      throw usage(`--iidfile cannot be used with -o type=${spec.kind}, which makes no image`);
    }
  }
  return specs;
}

function pullPolicy(value: boolean | string | undefined): PullPolicy {
  switch (value) {
    case undefined:
    case false:
    case 'false':
    case 'missing':
      return 'missing';
    case true:
    case 'true':
    case 'always':
      return 'always';
    case 'never':
      return 'never';
    default:
      throw usage(
        `--pull=${printable(String(value))} is not a policy`,
        'use --pull, --pull=missing or --pull=never',
      );
  }
}

function parseHost(text: string): readonly [string, string] {
  const at = text.search(/[:=]/);
  const name = at < 0 ? '' : text.slice(0, at);
  const address = text.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
  if (!/^[A-Za-z0-9._-]+$/.test(name) || (address !== 'host-gateway' && !isIP(address))) {
    throw usage(
      `--add-host ${printable(text)} is not name:ip`,
      'write --add-host db:10.0.0.7, or name:host-gateway',
    );
  }
  return [name, address];
}

const maxSecretBytes = 500 * 1024;

/** `id=x,src=path`, `id=x,env=NAME`, or a bare id: an environment variable of that name, else a file. */
function parseSecret(spec: string, env: Env, cwd: string): [string, Buffer] {
  const fields = specFields(spec, '--secret', ['id', 'src', 'source', 'env', 'type']);
  const id = fields.get('id');
  if (!id) throw usage(`--secret ${printable(spec)} has no id`, 'write --secret id=NAME,src=PATH');
  const path = fields.get('src') ?? fields.get('source');
  const type = fields.get('type');
  if (type !== undefined && type !== 'file' && type !== 'env')
    throw usage(`--secret type=${printable(type)} is neither file nor env`);
  const name = fields.get('env') ?? (type === 'env' ? (path ?? id) : path === undefined ? id : undefined);
  const fromEnv = name === undefined || type === 'file' ? undefined : env[name];
  if (fromEnv !== undefined) return [id, sized(Buffer.from(fromEnv), id)];
  if (fields.has('env') || type === 'env')
    throw usage(`--secret id=${printable(id)}: the environment has no ${printable(name ?? id)}`);
  const file = resolve(cwd, path ?? id);
  try {
    return [id, sized(readFileSync(file), id)];
  } catch (cause) {
    if (cause instanceof BuildError) throw cause;
    throw new BuildError('usage', `--secret id=${printable(id)}: ${messageOf(cause)}`, { cause });
  }
}

function sized(value: Buffer, id: string): Buffer {
  if (value.length > maxSecretBytes)
    throw usage(`--secret id=${printable(id)} is larger than ${maxSecretBytes} bytes`);
  return value;
}

function specFields(spec: string, flag: string, known: readonly string[]): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of spec.split(',')) {
    const at = part.indexOf('=');
    const key = at < 0 ? 'id' : part.slice(0, at).trim();
    if (!known.includes(key))
      throw usage(`${flag}: unknown key "${printable(key)}"`, `known keys: ${known.join(', ')}`);
    fields.set(key, at < 0 ? part : part.slice(at + 1));
  }
  return fields;
}
