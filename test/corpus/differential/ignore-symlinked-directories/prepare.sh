#!/bin/sh
ln -s d l; ln -s d/g lg
