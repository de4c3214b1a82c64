#!/bin/sh
mkdir -m 700 empty; mkdir -p outer/inner/deepest; touch -d 2011-11-11 outer/inner
