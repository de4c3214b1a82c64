#!/bin/sh
chmod 755 x
