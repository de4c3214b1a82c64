#!/bin/sh
echo 1 > "with blank"; echo 2 > 'ünïcode'; echo 3 > 'back\slash'; echo 4 > "quote'\""; echo 5 > 'tab	x'; echo 6 > '[x]'; echo 7 > '.hidden'; mkdir -p "$(printf 'l%.0s' $(seq 200))/$(printf 'm%.0s' $(seq 200))"; echo long > "$(printf 'l%.0s' $(seq 200))/$(printf 'm%.0s' $(seq 200))/x"; echo 8 > '$dollar'; echo 9 > ' lead'; echo 10 > 'trail '; echo 11 > '*'
