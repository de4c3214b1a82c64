#!/usr/bin/env bash
# Everything that must hold before a change lands: set-up, lint, types, structure, all tests, and the end-to-end tests
# again on the oldest and the newest Node. README's second command runs this.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "packages"
bash scripts/setup.sh
step "dependencies"
# Not `npm ci`: it refuses a lock file without the optional packages of platforms that nobody here has.
npm install --no-save --no-audit --no-fund
step "lint"
npm run --silent lint
step "structure"
node scripts/structure.js
step "build"
node scripts/build.js --types
step "types and tests on $(node --version)"
node scripts/test.js
step "end-to-end tests on the oldest and the newest Node"
node scripts/other-nodes.js
