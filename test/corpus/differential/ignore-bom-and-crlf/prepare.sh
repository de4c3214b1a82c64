#!/bin/sh
printf '\357\273\277a\r\nb\r\n\r\n!b/keep\r\n' > .dockerignore; echo 1 > a; mkdir b; echo 2 > b/x; echo 3 > b/keep; echo 4 > c
