#!/bin/sh
mkdir t; echo 1 > t/z; ln t/z t/a; ln t/z t/m; ln -s z t/s; ln t/s t/s2; find t -exec touch -h -d 2012-12-12 {} +; tar -C t -cf t.tar z a m s s2; rm -r t
