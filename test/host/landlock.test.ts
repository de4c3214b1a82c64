// Landlock in a process that really gives up the rest of the machine.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import {
  type LandlockRuleset,
  landlockRestrictSelf,
  landlockVersion,
  makeLandlockRuleset,
} from '../../src/host/landlock.ts';
import { call, makeLauncher, named, openExecutable } from '../../src/sandbox/launcher/launcher.ts';
import { tempDir } from '../support/rootfs.ts';

const PR_SET_SECUREBITS = 28;
/** To be root gives no capabilities. */
const NOROOT = 1;

/** What a shell prints and complains of that holds itself to the rules. */
async function within(rules: LandlockRuleset, script: string): Promise<string> {
  const busybox = '/bin/busybox';
  rules.allow(busybox, 'execute');
  rules.allow('/dev/null', 'read and write');
  const argv = [busybox, 'sh', '-c', script];
  // Root may look at everybody's memory by other rights (CAP_PERFMON): like an ordinary user, this one has none.
  const none = new BigUint64Array(3);
  const { file } = makeLauncher(
    [
      named('restrict', call(landlockRestrictSelf, 3, 0)),
      call('prctl', PR_SET_SECUREBITS, NOROOT),
      named(
        'give up',
        call('capset', Buffer.from(new Uint32Array([0x20080522, 0]).buffer), Buffer.from(none.buffer)),
      ),
      call('execve', busybox, argv, ['CANARY=of-its-own']),
    ],
    2,
  );
  using program = openExecutable(file);
  const child: ChildProcess = spawn(program.path, { stdio: ['ignore', 'pipe', 'pipe', rules.fd] });
  const [stdout, stderr] = await Promise.all([text(child.stdout as never), text(child.stderr as never)]);
  return stdout + stderr.replaceAll(/^sh: (?:line \d+: )?/gm, '');
}

const versions = Array.from({ length: landlockVersion() - 1 }, (_, i) => i + 2);

test('this kernel has Landlock', () => assert.ok(versions.length > 0));

for (const version of versions) {
  test(`what is not allowed is refused, with the rules of version ${version}`, async () => {
    using temp = tempDir();
    const dir = (name: string) => {
      mkdirSync(join(temp.path, name));
      writeFileSync(join(temp.path, name, 'file'), `in ${name}\n`);
      return join(temp.path, name);
    };
    const [own, other, shown] = [dir('own'), dir('other'), dir('shown')];
    using rules = makeLandlockRuleset(version);
    assert.ok(rules);
    rules.allow(own, 'all');
    rules.allow(shown, 'read');
    const said = await within(
      rules,
      `cd ${own} && mkdir deep && echo x > deep/made && mv deep/made . && ln made linked && rm file && echo well
       cat ${shown}/file; echo x >> ${shown}/file; rm ${shown}/file; cat ${other}/file; ls ${other}; echo x > ${other}/new`,
    );
    assert.deepEqual(
      said
        .trim()
        .split('\n')
        .map(line => line.replace(temp.path, '')),
      [
        ...['well', 'in shown'],
        "can't create /shown/file: Permission denied",
        "rm: can't remove '/shown/file': Permission denied",
        "cat: can't open '/other/file': Permission denied",
        "ls: can't open '/other': Permission denied",
        "can't create /other/new: Permission denied",
      ],
    );
    assert.equal(readFileSync(join(shown, 'file'), 'utf8'), 'in shown\n');
  });
}

test('environment and life of other processes are out of reach', async () => {
  using rules = makeLandlockRuleset();
  assert.ok(rules);
  rules.allow('/proc', 'read');
  const victim = spawn('sleep', ['60'], { env: { ...process.env, CANARY: 'of-another' } });
  try {
    await once(victim, 'spawn');
    const { pid } = victim;
    const said = await within(
      rules,
      `cat /proc/self/environ; echo; cat /proc/${pid}/environ; kill -9 ${pid}; cat /proc/${pid}/comm`,
    );
    assert.match(said, /CANARY=of-its-own/);
    assert.doesNotMatch(said, /of-another/);
    assert.match(said, new RegExp(`can't open '/proc/${pid}/environ': Permission denied`));
    if (landlockVersion() >= 6) assert.match(said, /kill.*Operation not permitted/);
    assert.match(said, /^sleep$/m);
  } finally {
    victim.kill();
  }
});

test('a kernel that could not move files from one directory to another is not asked', () => {
  assert.equal(makeLandlockRuleset(1), undefined);
  assert.equal(makeLandlockRuleset(0), undefined);
});
