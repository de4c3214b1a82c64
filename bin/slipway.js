#!/usr/bin/env node
import module from 'node:module';

// Compiled code is kept in the user's own cache directory; node's default would be a place where others could put theirs.
const { HOME, XDG_CACHE_HOME } = process.env;
const cache = XDG_CACHE_HOME || (HOME && `${HOME}/.cache`);
if (cache?.startsWith('/')) module.enableCompileCache?.(`${cache}/slipway/compiled`);
const { main } = await import('../dist/app/main.js');
main(process.argv.slice(2));
