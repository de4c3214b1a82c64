#!/bin/sh
mkdir t; echo 1 > t/z; ln t/z t/a; tar -C t -cf t.tar z a; rm -r t
