// A snapshot is the directory a step works on: the layers below it, and a place that collects what changes.

export interface Snapshot {
  /** The merged root file system, to be read and written with synchronous calls (see host/namespace.ts) or by a child process. */
  readonly root: string;
  /**
   * Says that a path below the root (absolute, no link in it) was moved away and back: what tells of a change may have
   * moved with it. Not there where that makes no difference.
   */
  movedAndBack?(path: string): void;
  /** Unmounts; what changed stays in `upper`. Idempotent. */
  close(): Promise<void>;
}

export interface SnapshotDriver {
  readonly name: string;
  /**
   * @param lowers unpacked layers in overlay format, lowest first; may be empty
   * @param upper an empty directory that will hold the changes in overlay format
   * @param scratch an existing directory on the same file system as `upper` for what the driver needs besides
   */
  mount(lowers: readonly string[], upper: string, scratch: string): Promise<Snapshot>;
}
