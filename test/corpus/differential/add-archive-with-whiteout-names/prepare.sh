#!/bin/sh
mkdir t; echo 1 > t/.wh.x; touch -d 2012-12-12 t/.wh.x; tar -C t -cf t.tar .wh.x; rm -r t
