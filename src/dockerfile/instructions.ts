// What a Dockerfile says, as values: the result of dockerfile/parse.ts and the input of plan/. Nothing is expanded
// yet; `Text` keeps where each word stood so that later findings can mark it.
import type { Diagnostic, SourceFile, SourceRange } from '../errors.ts';

/** A word or the rest of a line, as written (quotes and `$` included), with its place. */
export interface Text {
  readonly raw: string;
  readonly range: SourceRange;
}

/** A heredoc body. */
export interface Heredoc {
  /** The word after `<<`, unquoted. */
  readonly name: string;
  readonly body: string;
  /** The body with its leading tabs, for a shell that removes them itself; absent when that is `body`. */
  readonly verbatim?: string;
  /** The word was not quoted: COPY and ADD expand variables in the body. */
  readonly expand: boolean;
  /** `<<-`: leading tabs were removed (already done in `body`). */
  readonly chomp: boolean;
  readonly range: SourceRange;
}

interface Common {
  /** The keyword as written, for the casing checks: `RUN`, `run`, `Run`. */
  readonly keyword: Text;
  /** The whole instruction with continuation lines and heredocs. */
  readonly range: SourceRange;
  /** The instruction's text on one line, without heredoc bodies, continuation characters and comments. */
  readonly original: string;
  /** Comment lines directly above, without `#`. */
  readonly comments: readonly string[];
  /** Rules that a `# check=skip=...` comment directly above silences here. */
  readonly skip: readonly string[];
}

/** RUN, CMD, ENTRYPOINT, HEALTHCHECK CMD: a shell line or an exec list. */
export type CommandForm =
  | { readonly form: 'shell'; readonly line: string; readonly heredocs: readonly Heredoc[] }
  | { readonly form: 'exec'; readonly argv: readonly string[] };

export interface KeyValue {
  readonly key: Text;
  readonly value: Text;
}

export interface FromInstruction extends Common {
  readonly kind: 'from';
  readonly image: Text;
  readonly as?: Text;
  /** The AS keyword as written. */
  readonly asKeyword?: Text;
  readonly platform?: Text;
}

export interface ArgInstruction extends Common {
  readonly kind: 'arg';
  readonly args: readonly { readonly key: Text /** Absent: `ARG NAME`. */; readonly value?: Text }[];
}

export interface EnvInstruction extends Common {
  readonly kind: 'env';
  readonly pairs: readonly KeyValue[];
  /** `ENV name rest of line`. */
  readonly legacy: boolean;
}

export interface LabelInstruction extends Common {
  readonly kind: 'label';
  readonly pairs: readonly KeyValue[];
  readonly legacy: boolean;
}

/** A mount of RUN as written: the values of its keys, unexpanded. plan/ checks them after expansion. */
export interface MountFlag {
  readonly text: Text;
  /** `true` stands for a key without `=`. Keys are checked for spelling and for belonging to the type already. */
  readonly fields: readonly { readonly key: string; readonly value: string }[];
  readonly type: 'bind' | 'cache' | 'tmpfs' | 'secret' | 'ssh';
}

/** `--device` of RUN: a device by its name in the Container Device Interface, or by an alias of that. */
export interface DeviceFlag {
  readonly text: Text;
  readonly name: string;
  /** Default false. */
  readonly required: boolean;
}

export interface RunInstruction extends Common {
  readonly kind: 'run';
  readonly command: CommandForm;
  readonly mounts: readonly MountFlag[];
  readonly network?: Text;
  readonly security?: Text;
  readonly devices: readonly DeviceFlag[];
}

export interface CopyInstruction extends Common {
  readonly kind: 'copy' | 'add';
  readonly sources: readonly (Text | Heredoc)[];
  readonly dest: Text;
  readonly from?: Text;
  readonly chown?: Text;
  readonly chmod?: Text;
  readonly checksum?: Text;
  readonly link?: boolean;
  readonly parents?: boolean;
  readonly keepGitDir?: boolean;
  readonly unpack?: boolean;
  readonly excludes: readonly Text[];
}

export interface CmdInstruction extends Common {
  readonly kind: 'cmd' | 'entrypoint';
  readonly command: CommandForm;
}

export interface HealthcheckInstruction extends Common {
  readonly kind: 'healthcheck';
  /** Absent: NONE. */
  readonly command?: CommandForm;
  /** Nanoseconds; absent: not given. */
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}

/** EXPOSE, VOLUME: a list of words. */
export interface ListInstruction extends Common {
  readonly kind: 'expose' | 'volume';
  readonly items: readonly Text[];
}

/** USER, WORKDIR, STOPSIGNAL, MAINTAINER: one value. */
export interface ValueInstruction extends Common {
  readonly kind: 'user' | 'workdir' | 'stopsignal' | 'maintainer';
  readonly value: Text;
}

export interface ShellInstruction extends Common {
  readonly kind: 'shell';
  readonly argv: readonly string[];
}

export interface OnbuildInstruction extends Common {
  readonly kind: 'onbuild';
  /** The trigger's text, as stored in the config. */
  readonly trigger: string;
  /** The same, parsed. */
  readonly instruction: StageInstruction;
}

/** What may stand in a stage after its FROM. */
export type StageInstruction =
  | ArgInstruction
  | EnvInstruction
  | LabelInstruction
  | RunInstruction
  | CopyInstruction
  | CmdInstruction
  | HealthcheckInstruction
  | ListInstruction
  | ValueInstruction
  | ShellInstruction
  | OnbuildInstruction;

export type Instruction = FromInstruction | StageInstruction;

export interface Stage {
  readonly index: number;
  /** Lower case; absent without AS. */
  readonly name?: string;
  readonly from: FromInstruction;
  readonly instructions: readonly StageInstruction[];
}

export interface Directives {
  /** Escape character: `\` unless `# escape=` says a backtick. */
  readonly escape: '\\' | '`';
  readonly syntax?: Text;
  readonly check?: {
    readonly skip: readonly string[];
    readonly skipAll: boolean;
    readonly error: boolean;
    readonly experimental: readonly string[];
  };
}

export interface Dockerfile {
  readonly file: SourceFile;
  readonly directives: Directives;
  /** ARGs before the first FROM. */
  readonly globalArgs: readonly ArgInstruction[];
  readonly stages: readonly Stage[];
  /** Everything found while reading; with an error among them the rest is as much as could be understood. */
  readonly diagnostics: readonly Diagnostic[];
}
