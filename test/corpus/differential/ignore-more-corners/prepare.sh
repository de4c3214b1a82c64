#!/bin/sh
mkdir -p w/.git node_modules pkg/node_modules
for f in w/.git/x node_modules/x pkg/node_modules/y; do printf . > $f; done
