#!/bin/sh
for i in 1 2; do echo $i > f$i; touch -d 2012-12-12 f$i; tar --owner=0 --group=0 -cf t$i.tar f$i; rm f$i; done
{ gzip -n < t1.tar; gzip -n < t2.tar; } > two.gz; cat t1.tar t2.tar > two.tar; { cat t1.tar; head -c 4096 /dev/zero; echo junk; } > pad.tar; rm t1.tar t2.tar
