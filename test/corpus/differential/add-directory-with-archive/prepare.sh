#!/bin/sh
mkdir -p d t; echo x > t/x; touch -d 2012-12-12 t/x t; tar -C t -cf d/inner.tar x; tar -C t -cf w1.tar x; cp w1.tar w2.tar; rm -r t
