#!/bin/sh
ln -s a l; chmod 2755 d/s
