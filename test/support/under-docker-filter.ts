// A program for tests: starts another one under the filter of system calls that Docker gives a container without
// CAP_SYS_ADMIN. User namespaces and mounts are among what it refuses. argv: the program and its arguments.
import { spawnSync } from 'node:child_process';
import { defaultCapabilities } from '../../src/sandbox/defaults.ts';
import { call, makeLauncher, openExecutable } from '../../src/sandbox/launcher/launcher.ts';
import { filterProgram } from '../../src/sandbox/seccomp/filter.ts';
import { defaultProfile } from '../../src/sandbox/seccomp/profile.ts';

const SECCOMP_SET_MODE_FILTER = 1;
const [, , ...argv] = process.argv;
const profile = defaultProfile(process.arch, defaultCapabilities);
const filter = profile && filterProgram(profile, process.arch);
if (filter === undefined) throw new Error(`there is no filter for ${process.arch}`);
const env = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
const launcher = makeLauncher(
  [
    call('seccomp', SECCOMP_SET_MODE_FILTER, 0, { words: [filter.length / 8, filter] }),
    call('execve', '/usr/bin/env', ['env', ...argv], env),
  ],
  2,
);
using program = openExecutable(launcher.file);
const { status } = spawnSync(program.path, { stdio: 'inherit' });
process.exitCode = status ?? 1;
