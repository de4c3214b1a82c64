#!/bin/sh
mkdir -p t/d; echo a > t/d/a; touch -d 2012-12-12 t/d t/d/a; tar -C t -P --transform='s,^d,/abs/d,' -cf t.tar d; rm -r t
