#!/bin/sh
ln -s a link; ln -s d dirlink; ln -s nowhere broken; ln -s /etc/passwd abs; mkdir links; ln -s ../a links/up; ln -s ../../../../etc links/out; ln -s . links/self
ln -s ../d d/loop
