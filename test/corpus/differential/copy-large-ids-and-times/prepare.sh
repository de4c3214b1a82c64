#!/bin/sh
mkdir d; touch -d '2100-01-01' d/f; touch -d '1901-12-14' d/o; touch -d '2040-06-06 06:06:06.999999999' d/n
