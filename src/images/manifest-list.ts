// Manifest lists put together by hand: indexes in the store, over images of the store or of registries. Messages are
// those of `docker manifest`.
import { BuildError, printable } from '../errors.ts';
import { configFromJson } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import { type Digest, digestOf } from '../image/digest.ts';
import { encodeManifest, type Index, maxManifestBytes, parseManifest } from '../image/manifest.ts';
import { mediaTypes } from '../image/media-type.ts';
import { formatPlatform, hostPlatform, normalize, type Platform } from '../image/platform.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { pullImage } from '../registry/pull.ts';
import { pushNamed } from './push.ts';
import type { ImageTools } from './tools.ts';

/** What annotate changes; empty texts change nothing. */
export interface PlatformChange {
  readonly os?: string;
  readonly arch?: string;
  readonly variant?: string;
  readonly osVersion?: string;
  readonly osFeatures?: readonly string[];
}

/**
 * @param amend add to the list when it is there
 * @returns the list's name in full
 * @throws BuildError `unsupported` for a list that is there without `amend`, or members that are lists themselves
 */
export async function createList(
  list: string,
  members: readonly string[],
  amend: boolean,
  tools: ImageTools,
): Promise<string> {
  const name = fullName(list);
  const there = tools.store.names.get(name);
  if (there && !amend) throw usage('refusing to amend an existing manifest list with no --amend flag');
  const before = there ? (await readList(name, tools)).manifests : [];
  const added: Descriptor[] = [];
  for (const member of members) {
    const descriptor = await memberOf(member, tools);
    tools.store.meta.set('misc', memberKey(name, fullName(member)), descriptor.digest);
    added.push(descriptor);
  }
  const digests = new Set(added.map(each => each.digest));
  await save(name, [...before.filter(each => !digests.has(each.digest)), ...added], tools);
  return name;
}

/** @throws BuildError `not-found` for a list or member that is not there, `unsupported` for a platform that does not exist */
export async function annotateMember(
  list: string,
  member: string,
  change: PlatformChange,
  tools: ImageTools,
): Promise<void> {
  const name = fullName(list);
  const missing = () =>
    new BuildError(
      'not-found',
      `manifest for image ${printable(member)} does not exist in ${printable(list)}`,
    );
  if (!tools.store.names.get(name)) throw missing();
  const { manifests } = await readList(name, tools);
  const { digest = tools.store.meta.get('misc', memberKey(name, fullName(member))) } = parseReference(member);
  if (!manifests.some(each => each.digest === digest)) throw missing();
  const changed = manifests.map(each =>
    each.digest === digest ? { ...each, platform: changedPlatform(each.platform, change) } : each,
  );
  await save(name, changed, tools);
}

/** @returns a document as it stands in the store, or else in its registry */
export async function readDocument(
  text: string,
  tools: ImageTools,
): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string; readonly local: boolean }> {
  const reference = withDefaultTag(parseReference(text));
  const { store } = tools;
  const named = store.names.get(formatReference(reference));
  if (named?.descriptor.mediaType.match(/index|manifest\.list/)) {
    const bytes = await store.blobs.read(named.descriptor.digest, maxManifestBytes);
    return { bytes, mediaType: named.descriptor.mediaType, local: true };
  }
  const found = await (await tools.registries()).fetchManifest(reference, tools.signal).catch(error => {
    if (!(error instanceof BuildError) || error.code !== 'not-found') throw error;
    throw new BuildError('not-found', `no such manifest: ${printable(text)}`, { facts: error.facts });
  });
  return { bytes: found.bytes, mediaType: found.descriptor.mediaType, local: false };
}

/** The list's entry for a member, as JSON has it. @throws BuildError `not-found` */
export async function readMember(list: string, member: string, tools: ImageTools): Promise<Uint8Array> {
  const name = fullName(list);
  const known = tools.store.meta.get('misc', memberKey(name, fullName(member)));
  const { digest = known } = parseReference(member);
  if (!tools.store.names.get(name)) throw noSuch(list);
  const entry = (await readList(name, tools)).manifests.find(each => each.digest === digest);
  if (!entry) throw noSuch(member);
  return tools.store.blobs.read(entry.digest, maxManifestBytes);
}

/** @returns the digest that the tag stands for now. @throws BuildError `not-found`, `auth`, `network`; the tag is unchanged then */
export async function pushList(list: string, purge: boolean, tools: ImageTools): Promise<Digest> {
  const name = fullName(list);
  if (!tools.store.names.get(name)) throw noSuch(list);
  await readList(name, tools);
  const root = await pushNamed(parseReference(name), undefined, tools);
  if (purge) await removeLists([list], tools);
  return root.digest;
}

/** All or, when one is not there, none. @throws BuildError `not-found` */
export async function removeLists(lists: readonly string[], tools: ImageTools): Promise<void> {
  const names = lists.map(fullName);
  for (const [i, name] of names.entries()) {
    if (!tools.store.names.get(name)) throw noSuch(lists[i] ?? '');
    await readList(name, tools);
  }
  for (const name of names) {
    await tools.store.names.delete(name);
    for (const [key] of [...tools.store.meta.entries('misc', memberKey(name, ''))]) {
      tools.store.meta.delete('misc', key);
    }
  }
}

function fullName(text: string): string {
  return formatReference(withDefaultTag(parseReference(text)));
}

/** Which manifest a list got for a member's name. */
function memberKey(list: string, member: string): string {
  return `manifest list ${list} ${member}`;
}

async function readList(name: string, { store }: ImageTools): Promise<Index> {
  const named = store.names.get(name);
  if (!named) throw noSuch(name);
  const bytes = await store.blobs.read(named.descriptor.digest, maxManifestBytes);
  const document = parseManifest(bytes, named.descriptor.mediaType);
  if (document.kind === 'index') return document;
  throw usage(`${familiarReference(parseReference(name))} is an image, not a manifest list`);
}

/** From the store when the name is there, else from its registry. */
async function memberOf(text: string, tools: ImageTools): Promise<Descriptor> {
  const reference = withDefaultTag(parseReference(text));
  const named = tools.store.names.get(formatReference(reference));
  if (named) return described(named.descriptor, text, tools);
  const registries = await tools.registries();
  const image = await pullImage(registries, tools.store, reference, hostPlatform(), tools.signal);
  if (image.index) throw isList(text);
  return described(image.descriptor, text, tools);
}

async function described(descriptor: Descriptor, text: string, { store }: ImageTools): Promise<Descriptor> {
  const document = parseManifest(
    await store.blobs.read(descriptor.digest, maxManifestBytes),
    descriptor.mediaType,
  );
  if (document.kind === 'index') throw isList(text);
  const config = await store.blobs.read(document.config.digest, maxManifestBytes);
  const { platform } = configFromJson(JSON.parse(config.toString('utf8')));
  const { mediaType, digest, size } = descriptor;
  return { mediaType, digest, size, platform };
}

/** A list of Docker's manifests is Docker's list, anything else an OCI index. */
async function save(name: string, manifests: readonly Descriptor[], { store }: ImageTools): Promise<void> {
  const isDocker = manifests.every(each => each.mediaType === mediaTypes.dockerManifest);
  const mediaType = isDocker ? mediaTypes.dockerIndex : mediaTypes.ociIndex;
  const text = encodeManifest({ kind: 'index', mediaType, manifests, annotations: {} });
  const digest = digestOf(text);
  await store.blobs.put(text);
  await store.names.set(name, { mediaType, digest, size: Buffer.byteLength(text) });
  await store.meta.flush();
}

const systems = ['linux', 'windows', 'darwin', 'freebsd', 'netbsd', 'openbsd', 'solaris', 'aix', 'wasip1'];

function changedPlatform(before: Platform = hostPlatform(), change: PlatformChange): Platform {
  const { osVersion = before.osVersion, osFeatures = before.osFeatures } = change;
  const architecture = change.arch || before.architecture;
  const variant = change.variant || (change.arch ? undefined : before.variant);
  const platform = {
    ...normalize({ os: change.os || before.os, architecture, variant }),
    ...(variant ? { variant } : {}),
  };
  if (!systems.includes(platform.os) || !/^[a-z0-9_]+$/.test(architecture)) {
    throw usage(
      `manifest entry for image has unsupported os/arch combination: ${printable(formatPlatform(platform))}`,
    );
  }
  return {
    ...platform,
    ...(osVersion ? { osVersion } : {}),
    ...(osFeatures && osFeatures.length > 0 ? { osFeatures } : {}),
  };
}

function isList(text: string): BuildError {
  return usage(`${printable(text)} is a manifest list`, 'name one of its images by digest: NAME@sha256:...');
}

function noSuch(text: string): BuildError {
  return new BuildError('not-found', `No such manifest: ${printable(text)}`);
}

/** Docker's exit status for these is 1. */
function usage(message: string, hint?: string): BuildError {
  return new BuildError('unsupported', message, hint === undefined ? {} : { hint });
}
