// slipway image ...: the commands about images, under the names that docker gives them there.
import type { Command } from 'commander';
import type { Session } from '../session.ts';
import { defineHistory } from './history.ts';
import { defineImageCopy } from './image-copy.ts';
import { defineImageExists } from './image-exists.ts';
import { defineImageDiff, defineImageExport, defineImageTree } from './image-files.ts';
import { defineImagePrune } from './image-prune.ts';
import { defineImages } from './images.ts';
import { defineImport } from './import.ts';
import { defineInspect } from './inspect.ts';
import { defineLoad } from './load.ts';
import { defineLoadInto } from './load-into.ts';
import { definePull } from './pull.ts';
import { definePush } from './push.ts';
import { defineRemove } from './rmi.ts';
import { defineSave } from './save.ts';
import { defineSearch } from './search.ts';
import { defineSign, defineVerify } from './sign.ts';
import { defineSystem } from './system.ts';
import { defineTag } from './tag.ts';

/** Also below `slipway image`. */
const everyday = [defineInspect, defineHistory, defineTag, defineSave, defineLoad, defineImport];

export function defineImageCommands(program: Command, session: Session): void {
  defineImages(program, session);
  for (const define of everyday) define(program, session);
  defineRemove(program, session);
  defineLoadInto(program, session);
  defineSearch(program, session);
  defineSign(program, session);
  defineSystem(program, session);
  const group = program.command('image').description('commands about images');
  defineImages(group, session, 'ls');
  for (const define of [...everyday, definePull, definePush]) define(group, session);
  defineRemove(group, session, 'rm');
  for (const define of [
    defineImagePrune,
    defineImageExport,
    defineImageTree,
    defineImageDiff,
    defineImageCopy,
    defineImageExists,
    defineSign,
    defineVerify,
  ])
    define(group, session);
}
