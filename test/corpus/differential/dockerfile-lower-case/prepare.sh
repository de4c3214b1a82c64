#!/bin/sh
rm Dockerfile; printf 'FROM scratch\nCOPY . /all/\n' > dockerfile
