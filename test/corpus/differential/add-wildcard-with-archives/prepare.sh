#!/bin/sh
for i in 1 2; do echo $i > f$i; touch -d 2012-12-12 f$i; tar --owner=0 --group=0 -cf t$i.tar f$i; rm f$i; done
