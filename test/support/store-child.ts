// Run as a process of its own by the store's tests: opens the store named by its first argument and does what the
// second says.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../src/image/digest.ts';
import { mediaTypes } from '../../src/image/media-type.ts';
import { openStore } from '../../src/store/open.ts';

const [root = '', what = '', argument = ''] = process.argv.slice(2);
const store = await openStore(root);

switch (what) {
  case 'name-many': {
    for (let i = 0; i < 20; i++) {
      const name = `docker.io/library/${argument}:v${i}`;
      const descriptor = { mediaType: mediaTypes.ociManifest, digest: digestOf(name), size: 1 };
      await store.names.set(name, descriptor);
    }
    await store.close();
    break;
  }
  case 'hang': {
    const ingest = await store.blobs.ingest();
    writeFileSync(ingest.path, 'half');
    const tree = await store.trees.begin();
    writeFileSync(join(tree.fs, 'half'), 'half');
    writeFileSync(join(store.tmp, 'temporary'), 'half');
    console.log(JSON.stringify([ingest.path, tree.dir, store.tmp]));
    setInterval(() => {}, 1000);
    break;
  }
  case 'write-many': {
    for (let i = 0; i < 300; i++) {
      store.meta.set('misc', `${argument}${i % 50}`, i);
      await store.meta.flush();
    }
    await store.close();
    break;
  }
  case 'open-many': {
    // A process has a database open once: this one is opened anew each time.
    await store.close();
    for (let i = 0; i < 100; i++) await (await openStore(root)).close();
    break;
  }
  case 'set': {
    store.meta.set('misc', argument, process.pid);
    await store.close();
    break;
  }
  default:
    throw new Error(`no such task: ${what}`);
}
