// The library's door, the only barrel. `buildImage` does what `slipway build` does; parsing, planning and checking are
// pure; `build` and `deliver` are for callers who bring tools of their own.
export { type BuildResult, build } from './build/build.ts';
export { type Delivery, deliver } from './build/deliver.ts';
export type { BuildRequest, PullPolicy } from './build/request.ts';
export type { BaseFinder, BaseImage, Tools } from './build/tools.ts';
export type { Dockerfile, Instruction, Stage } from './dockerfile/instructions.ts';
export { parseDockerfile } from './dockerfile/parse.ts';
export {
  BuildError,
  type Diagnostic,
  type ErrorCode,
  type Position,
  type SourceFile,
  type SourceRange,
} from './errors.ts';
export type { BuildEvent, Emit } from './events.ts';
export type { FinishedImage } from './export/finished-image.ts';
export { type OutputSpec, parseOutput } from './export/output-spec.ts';
export { type BuiltImage, buildImage } from './library/build-image.ts';
export type { ImageBuild } from './library/image-build.ts';
export { explainGraph } from './plan/explain.ts';
export { makeGraph } from './plan/graph.ts';
export { type PlanOptions, planOptions } from './plan/options.ts';
export { makeOutline, type Outline } from './plan/outline.ts';
export type { Graph, PlannedStage, Step } from './plan/steps.ts';
