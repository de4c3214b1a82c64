// What a build may use. cli/wire.ts picks the real ones for this machine; tests pass their own.
import type { Records } from '../cache/records.ts';
import type { RemoteCaches } from '../cache/remote.ts';
import type { Download } from '../context/download.ts';
import type { ContextHelpers } from '../context/open.ts';
import type { Emit } from '../events.ts';
import type { ImageConfig } from '../image/config.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { LayerId, Layers } from '../layer/layers.ts';
import type { BaseRequest } from '../plan/steps.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import type { SnapshotDriver } from '../snapshot/driver.ts';
import type { Store } from '../store/store.ts';
import type { MountTravel } from './cache-mounts/travel.ts';
import type { FinishedSteps } from './finished-steps.ts';
import type { PullPolicy } from './request.ts';

/** An image that a stage starts from or that is copied from. Its layers are fetched when somebody reads them. */
export interface BaseImage {
  /** For people, with the digest: `docker.io/library/busybox:latest@sha256:...`. */
  readonly reference: string;
  readonly config: ImageConfig;
  /** Lowest first; as many as `config.diffIds`. */
  readonly layers: readonly LayerId[];
  readonly manifest: Descriptor;
  /** It was here already: no registry was asked. */
  readonly local: boolean;
}

/** Finds images by what FROM says. @throws BuildError `not-found`, `auth`, `network`, ... */
export interface BaseFinder {
  find(request: BaseRequest, pull: PullPolicy, signal: AbortSignal): Promise<BaseImage>;
}

export interface Tools {
  readonly store: Store;
  readonly layers: Layers;
  readonly records: Records;
  /** Asked for what is not here. Absent: nobody is. */
  readonly remote?: RemoteCaches;
  /** Is told what became of the steps, for caches that are written afterwards. */
  readonly finished?: FinishedSteps;
  readonly bases: BaseFinder;
  /** Asked for when the first RUN must be executed. @throws BuildError `sandbox` when nothing here can run commands */
  sandbox(): Promise<Sandbox>;
  /** The user named the sandbox: a build with RUN fails where it does not work. Default false. */
  readonly sandboxWasChosen?: boolean;
  snapshots(): Promise<SnapshotDriver>;
  /** What contexts need of the machine: stdin, downloads, contents remembered from earlier builds. */
  readonly contextHelpers: ContextHelpers;
  /** Downloads for ADD. */
  readonly download: Download;
  /** Absent: cache mounts neither come from elsewhere nor go there. */
  readonly mountTravel?: MountTravel;
  readonly emit: Emit;
  /** Milliseconds since 1970. */
  now(): number;
  readonly signal: AbortSignal;
  /** Steps that are carried out at the same time. */
  readonly parallelism: number;
}
