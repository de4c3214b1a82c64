#!/bin/sh
mkdir -p tree/dir/real tree/real; ln -s /real tree/dir/abs; ln -s real tree/dir/rel
mkdir t; for d in abs rel; do mkdir t/$d; echo x > t/$d/$d; done; find t -exec touch -d 2012-12-12 {} +; tar -C t --sort=name -cf t.tar abs/abs rel/rel; rm -r t
