#!/bin/sh
printf 'FROM scratch\r\nENV A=1 \\\r\n  B=2\r\nCOPY a \\\r\n /x\r\nLABEL l="v w"\r\nCOPY <<EOF /here\r\nline\r\nEOF\r\n' > Dockerfile
