// Where cache mounts pass through on their way between this machine and the places of --cache-mount-from and -to.
import { join } from 'node:path';
import { placeOf } from '../build/cache-export.ts';
import type { MountDepot, MountPlace } from '../build/cache-mounts/place.ts';
import { BuildError } from '../errors.ts';
import { makeTempDir } from '../host/temp.ts';
import { originsOf, registryBlobSource } from '../registry/pull.ts';
import { openStore } from '../store/open.ts';
import type { BlobSource } from '../store/store.ts';
import { placesSource, type Wired } from './wire.ts';

/**
 * It is gone when it is disposed of, or with the process.
 * @param specs of all places that it will be asked for
 */
export async function openMountDepot(
  { images, tools }: Pick<Wired, 'images' | 'tools'>,
  specs: readonly MountPlace[],
): Promise<MountDepot> {
  if (specs.some(({ kind }) => kind === 's3')) {
    // Before anything is built.
    await (await import('../artifact/s3-client.ts')).loadS3Client();
  }
  const { registries, cwd } = images;
  const dir = await makeTempDir(images.store.tmp, 'depot-');
  const store = await openStore(join(dir.path, 'store'));
  const fromRegistries: BlobSource = {
    async fetch(blob, signal) {
      if (originsOf(store, blob.digest).length === 0) {
        throw new BuildError('integrity', `its blob ${blob.digest} is not there, or damaged`);
      }
      await registryBlobSource(await registries(), store).fetch(blob, signal);
    },
  };
  const source = placesSource(store, fromRegistries, tools);
  return {
    store,
    source,
    open: spec => placeOf(spec, { store, source, registries, cwd }),
    async [Symbol.asyncDispose]() {
      await store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}
