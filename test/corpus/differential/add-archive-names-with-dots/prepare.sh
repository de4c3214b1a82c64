#!/bin/sh
mkdir -p t/a t/b; echo 1 > t/a/1; echo 2 > t/b/2; find t -exec touch -d 2012-12-12 {} +; tar -C t --sort=name --transform='s,a/1,a/../a//./1,' -cf t.tar ./a b; rm -r t
