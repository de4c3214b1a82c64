#!/bin/sh
set -e
ln -s a la; ln -s d ld; mkdir in; ln -s ../a in/l; ln -s /a abs; ln -s la chain; ln -s .. in/out; ln -s in/out up
