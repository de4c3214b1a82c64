#!/bin/sh
mkdir d; ln -s nowhere d/broken; ln -s /etc/passwd d/abs
