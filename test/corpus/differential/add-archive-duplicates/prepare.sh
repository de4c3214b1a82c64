#!/bin/sh
mkdir t; echo one > t/a; mkdir t/d; touch -d 2012-12-12 t/a t/d; tar -C t -cf t.tar a d; echo two > t/a; touch -d 2013-12-12 t/a; rmdir t/d; echo file > t/d; touch -d 2012-12-12 t/d; tar -C t -rf t.tar a d; rm -r t
