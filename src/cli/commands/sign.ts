// slipway image sign (also slipway sign) and slipway image verify: signatures beside an image in its registry, which
// cosign verifies and makes as well.
import { type Command, Option } from 'commander';
import { BuildError, printable } from '../../errors.ts';
import { formatReference, parseReference, type Reference, withDefaultTag } from '../../image/reference.ts';
import type { Registries } from '../../registry/registry.ts';
import type { Annotations, Claims } from '../../signing/claims.ts';
import {
  addRegistryOptions,
  type RegistryFlags,
  registryOptions,
  requireAuthFile,
} from '../options/registry-options.ts';
import { repeated } from '../options/repeated.ts';
import type { Session } from '../session.ts';

interface SignFlags extends RegistryFlags {
  readonly key: string;
  readonly annotations: readonly string[];
  readonly recursive?: boolean;
}

interface VerifyFlags extends RegistryFlags {
  readonly key: string;
  readonly annotations: readonly string[];
  readonly format: string;
}

export function defineSign(parent: Command, session: Session): void {
  addRegistryOptions(
    parent
      .command('sign')
      .description('sign images in their registries, as cosign does')
      .argument('<image...>', '[host/]name[:tag][@digest]')
      .requiredOption('--key <key>', 'private key: ECDSA in PEM, also as cosign encrypts it, or env://NAME')
      .addOption(repeated('-a, --annotations <key=value>', 'what the signature says beside the digest'))
      .option('-r, --recursive', 'of an image for several platforms, sign the image of each too'),
  ).action((images: readonly string[], flags: SignFlags) => sign(images, flags, session));
}

export function defineVerify(parent: Command, session: Session): void {
  addRegistryOptions(
    parent
      .command('verify')
      .description('check that images in their registries are signed, by cosign or slipway')
      .argument('<image...>', '[host/]name[:tag][@digest]')
      .requiredOption('--key <key>', 'public key of the signer: PEM, or env://NAME')
      .addOption(repeated('-a, --annotations <key=value>', 'what a signature must say to count'))
      .addOption(
        new Option('--format <format>', 'table, or json for what was signed')
          .choices(['table', 'json'])
          .default('table'),
      ),
  ).action((images: readonly string[], flags: VerifyFlags) => verify(images, flags, session));
}

async function sign(images: readonly string[], flags: SignFlags, session: Session): Promise<void> {
  const references = images.map(parseImage);
  const annotations = parseAnnotations(flags.annotations);
  const [{ openSigningKey }, { signImage }] = await Promise.all([
    import('../key-files.ts'),
    import('../../signing/sign.ts'),
  ]);
  const key = await openSigningKey(flags.key, session);
  await withRegistries(references, flags, session, async registries => {
    for (const reference of references) {
      const request = { reference, key, annotations, recursive: flags.recursive === true };
      for (const signed of await signImage(request, registries, session.signal)) {
        const name = formatReference(signed.reference);
        if (signed.wasThere) session.err(`${name} was signed by this key before\n`);
        session.out(`${name}\n`);
      }
    }
  });
}

async function verify(images: readonly string[], flags: VerifyFlags, session: Session): Promise<void> {
  const references = images.map(parseImage);
  const annotations = parseAnnotations(flags.annotations);
  const [{ openVerifyingKey }, { verifyImage }, { table }] = await Promise.all([
    import('../key-files.ts'),
    import('../../signing/verify.ts'),
    import('../table.ts'),
  ]);
  const key = await openVerifyingKey(flags.key, session);
  const found: Claims[] = [];
  await withRegistries(references, flags, session, async registries => {
    for (const reference of references) {
      const { claims } = await verifyImage({ reference, key, annotations }, registries, session.signal);
      found.push(...claims);
    }
  });
  if (flags.format === 'json') session.out(`${JSON.stringify(found)}\n`);
  else session.out(table([['DIGEST', 'SIGNED AS', 'ANNOTATIONS'], ...found.map(row)]));
}

function row({ critical, optional }: Claims): string[] {
  const said = Object.entries(optional ?? {}).map(
    ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return [
    critical.image['docker-manifest-digest'],
    critical.identity['docker-reference'],
    said.length > 0 ? said.join(', ') : '<none>',
  ].map(printable);
}

function parseImage(text: string): Reference {
  return withDefaultTag(parseReference(text.replace(/^docker:\/\//, '')));
}

function parseAnnotations(texts: readonly string[]): Annotations {
  return Object.fromEntries(
    texts.map(text => {
      const at = text.indexOf('=');
      if (at < 1) throw new BuildError('usage', `the annotation ${printable(text)} is not key=value`);
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

async function withRegistries(
  references: readonly Reference[],
  flags: RegistryFlags,
  session: Session,
  work: (registries: Registries) => Promise<void>,
): Promise<void> {
  requireAuthFile(flags, session.cwd);
  const hosts = references.map(({ domain }) => domain);
  const given = registryOptions(flags, hosts, session.cwd);
  const { openRegistriesFor } = await import('../wire.ts');
  const registries = await openRegistriesFor(session, given);
  try {
    await work(registries);
  } finally {
    await registries.close();
  }
}
