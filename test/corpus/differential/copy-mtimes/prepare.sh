#!/bin/sh
echo a > a; mkdir d; echo x > d/x; touch -d '1999-12-31 23:59:59.5' a; touch -d '1970-01-01 00:00:00' d/x; ln -s x d/l; touch -h -d 2005-05-05 d/l; touch -d '2033-01-01' d/future; touch -d 2006-06-06 d; echo o > d/old; touch -d '1965-01-01' d/old
