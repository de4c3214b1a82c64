#!/bin/sh
mkdir -p tree/real d/link; ln -s real tree/link; echo y > d/link/y
