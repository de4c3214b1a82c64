// One run of the program: what it was started with and how it will end.

export interface Session {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly debug: boolean;
  /** Aborted by ctrl-C, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal;
  /** Exit status; commands that found something set it. */
  status: number;
  /** Results, to stdout. */
  out(text: string): void;
  /** Everything else, to stderr. */
  err(text: string): void;
  /** The text for stderr when the command fails; a command whose output is for programs sets another one. */
  describeFailure(error: unknown): string;
}

/** Help, version or a usage error was printed already. */
export class UsageShown extends Error {
  override readonly name = 'UsageShown';
  readonly status: number;

  constructor(status: number) {
    super('usage');
    this.status = status;
  }
}
