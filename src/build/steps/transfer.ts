// COPY and ADD carried out: what is selected and where it goes is decided in copy.ts and add.ts (pure), here the
// sources are found, the keys made and the layer written. No mount and no unpacked tree is needed.

import { baseState, copyContentKey, copyRecipeKey, type ReadableKey } from '../../cache/key.ts';
import type { LayerId } from '../../layer/layers.ts';
import type { CopyStep } from '../../plan/steps.ts';
import { resolveOwner } from '../../sandbox/users.ts';
import type { FileTree } from '../../tree/file-tree.ts';
import { describeOrigin } from '../sources.ts';
import { fetchItems, unpackArchives } from './add.ts';
import { planCopy, type Selection, selectionParts, selectSources } from './copy.ts';
import { stampOf } from './copy-selection.ts';
import { imageFiles } from './image-user.ts';
import { inputFiles } from './input-files.ts';
import type { PreparedStep, StepScope } from './step.ts';

export async function prepareCopy(step: CopyStep, scope: StepScope): Promise<PreparedStep> {
  let selection: Promise<Selection> | undefined;
  const select = () => {
    selection ??= choose(step, scope);
    return selection;
  };
  const recipe = await recipeOf(step, scope, select);
  return {
    ...recipe,
    files: async () => inputFiles(await select()),
    execute: async () => write(step, scope, await select()),
  };
}

/**
 * Copies from another stage or image are found by what they say alone, and those of a directory in which nothing changed
 * by that; only a miss looks at content. Everything else is known by its content at once.
 */
async function recipeOf(
  step: CopyStep,
  scope: StepScope,
  select: () => Promise<Selection>,
): Promise<Pick<PreparedStep, 'recipe' | 'content' | 'isLocal'>> {
  const content = async (): Promise<ReadableKey> =>
    copyContentKey(scope.state, step, await selectionParts(await select()));
  const source = await sourceState(step, scope);
  if (source === undefined) return { recipe: await content() };
  return { recipe: copyRecipeKey(scope.state, source, step), content, isLocal: step.from.kind === 'context' };
}

async function sourceState(step: CopyStep, scope: StepScope): Promise<string | undefined> {
  if (step.items.some(item => item.kind !== 'path')) return undefined;
  switch (step.from.kind) {
    case 'stage':
      return (await scope.stageResult(step.from.stage)).state;
    case 'image':
      return baseState(scope.sources.base(step.from.base).config.diffIds);
    case 'context':
      return stampOf(step, scope.sources.context(step.from.name));
    case 'scratch':
      return undefined;
  }
}

async function choose(step: CopyStep, scope: StepScope): Promise<Selection> {
  const tree = await sourceTree(step, scope);
  const fetched = await fetchItems(step, scope);
  const selection = selectSources(step, tree, fetched);
  for (const diagnostic of selection.warnings) {
    scope.tools.emit({ kind: 'warning', diagnostic, atMs: scope.tools.now() });
  }
  return selection;
}

async function sourceTree(step: CopyStep, scope: StepScope): Promise<FileTree> {
  const { from } = step;
  const description = describeOrigin(from, scope.labelOf);
  switch (from.kind) {
    case 'context':
      return scope.sources.context(from.name);
    case 'scratch':
      return scope.sources.view([], description, scope.signal);
    case 'image':
      return scope.sources.view(scope.sources.base(from.base).layers, description, scope.signal);
    case 'stage':
      return scope.sources.view((await scope.stageResult(from.stage)).layers, description, scope.signal);
  }
}

async function write(step: CopyStep, scope: StepScope, selection: Selection): Promise<LayerId | null> {
  const dest = await scope.sources.view(scope.layers, `stage "${scope.stage.label}"`, scope.signal, 'names');
  const owner = step.chown === undefined ? undefined : resolveOwner(step.chown, imageFiles(dest));
  for (const source of selection.sources) if (source.kind === 'file') await source.bring?.();
  const unpacked = await unpackArchives(selection, step, scope);
  const entries = planCopy(unpacked, dest, step, owner, { nowMs: scope.tools.now() });
  if (entries.length === 0) return null;
  return scope.tools.layers.write(entries, scope.signal);
}
