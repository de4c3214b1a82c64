#!/bin/sh
l=$(printf 'l%.0s' $(seq 150)); mkdir -p t/$l; echo x > t/$l/$l; ln -s $l/$l t/link; echo ü > t/ü; truncate -s 100000 t/sparse; find t -exec touch -h -d 2012-12-12 {} +; for f in pax gnu; do tar --sort=name --format=$f -C t -cf $f.tar .; done; rm -r t/$l t/link; tar --sort=name --format=v7 -C t -cf v7.tar .; rm -r t
