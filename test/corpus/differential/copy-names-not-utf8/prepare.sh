#!/bin/sh
printf l > "$(printf 'latin\344')"
