#!/bin/sh
mkdir t; echo out > t/o; echo in > t/i; ln -s / t/root
tar -C t --mtime=@1000000000 -cf t.tar root; tar -C t --mtime=@1000000000 -P --transform='s,o,root/evil,' -rf t.tar o; tar -C t --mtime=@1000000000 -rf t.tar i; rm -r t
