#!/bin/sh
mkdir t; echo out > t/o; tar -C t -P --transform='s,^o,../../evil,' -cf t.tar o; rm -r t
