#!/bin/sh
chmod 2710 d; chmod 1700 d/s; chmod 3705 d2; chmod 751 .
