#!/bin/sh
echo 1 > f; tar -cf t.tar f; rm f
