// The Dockerfile language on real bases: what only a build shows. docs/dockerfile.md names these tests row by row.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ContainerConfig } from '../../src/image/config.ts';
import { buildFiles, buildImage, writeContext } from '../support/images.ts';
import { withBases } from '../support/with-bases.ts';

const { slipway } = await withBases();

const busybox = (text: string, files: Record<string, string> = {}) =>
  writeContext(slipway, { Dockerfile: `FROM busybox\n${text}`, ...files });

/** What the command of RUN printed, one line each. */
async function printed(dir: string, ...args: string[]): Promise<string[]> {
  const { stderr } = await slipway.must(['build', '--progress=plain', '--no-cache', '-t', 'x', ...args, dir]);
  return outputOf(stderr);
}

function outputOf(stderr: string): string[] {
  return [...stderr.matchAll(/^#\d+ \d+\.\d+ (.*)$/gm)].map(match => match[1] ?? '');
}

test('the Dockerfile is looked for as Dockerfile, dockerfile and Containerfile, in this order', async () => {
  const files = {
    Containerfile: 'FROM scratch\nLABEL from=Containerfile\n',
    dockerfile: 'FROM scratch\nLABEL from=dockerfile\n',
    Dockerfile: 'FROM scratch\nLABEL from=Dockerfile\n',
  };
  const found = async (...names: (keyof typeof files)[]) => {
    const dir = writeContext(slipway, Object.fromEntries(names.map(name => [name, files[name]])));
    return (await buildImage(slipway, [dir])).config.Labels?.from;
  };
  assert.equal(await found('Containerfile', 'dockerfile', 'Dockerfile'), 'Dockerfile');
  assert.equal(await found('Containerfile', 'dockerfile'), 'dockerfile');
  assert.equal(await found('Containerfile'), 'Containerfile');
});

test('of several -f the last one counts', async () => {
  const dir = writeContext(slipway, { a: 'FROM scratch\nRUN never\n', b: 'FROM scratch\nLABEL from=b\n' });
  const image = await buildImage(slipway, ['-f', join(dir, 'a'), '-f', join(dir, 'b'), dir]);
  assert.equal(image.config.Labels?.from, 'b');
});

test('of ENV and ARG of one name the later line is what RUN sees', async () => {
  const dir = busybox('ENV A=env\nARG A=arg\nRUN echo "A is $A"\nARG B=arg\nENV B=env\nRUN echo "B is $B"\n');
  assert.deepEqual(await printed(dir, '--build-arg', 'A=given', '--build-arg', 'B=given'), [
    'A is given',
    'B is env',
  ]);
});

test('an instruction sees the variables as they were before it', async () => {
  const dir = busybox('ENV a=old\nENV a=new b=$a\nRUN echo "$a $b"\n');
  assert.deepEqual(await printed(dir), ['new old']);
});

test('--build-arg NAME takes the value of the environment, and passes nothing when there is none', async () => {
  const dir = busybox('ARG ONE=default TWO=default\nRUN echo "$ONE $TWO"\n');
  const { stderr } = await slipway.must(
    ['build', '--progress=plain', '--build-arg', 'ONE', '--build-arg', 'TWO', '-t', 'x', dir],
    { env: { ONE: 'from-env', TWO: undefined } },
  );
  assert.match(stderr, /^#\d+ \d+\.\d+ from-env default$/m);
});

test('proxy arguments reach RUN and are neither in the image nor in the cache key, until an ARG declares them', async () => {
  const dir = busybox('RUN echo "$HTTPS_PROXY $https_proxy" > /seen\n');
  const build = (value: string) => buildImage(slipway, ['--build-arg', `HTTPS_PROXY=${value}`, dir]);
  const first = await build('http://one:1');
  const files = join(slipway.dir, 'proxy');
  await slipway.must(['build', '--build-arg', 'HTTPS_PROXY=http://two:2', '-o', files, dir]);
  assert.equal(
    readFileSync(join(files, 'seen'), 'utf8'),
    'http://one:1 http://one:1\n',
    'taken from the cache',
  );
  assert.doesNotMatch(first.configText, /one:1/);
  const declared = busybox('ARG HTTPS_PROXY\nRUN echo "$HTTPS_PROXY" > /seen\n');
  const shown = await buildImage(slipway, ['--build-arg', 'HTTPS_PROXY=http://three:3', declared]);
  assert.match(shown.configText, /three:3/);
  const other = await slipway.must([
    'build',
    '--progress=plain',
    '--build-arg',
    'HTTPS_PROXY=http://four:4',
    declared,
  ]);
  assert.doesNotMatch(other.stderr, /CACHED\n.*seen/);
  assert.match(other.stderr, /0 of 1 steps cached/);
});

test('the platform is known to FROM, and to a stage that declares it', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: `FROM --platform=$BUILDPLATFORM busybox
RUN echo "undeclared: $TARGETARCH"
ARG TARGETPLATFORM TARGETOS TARGETARCH BUILDPLATFORM BUILDOS BUILDARCH TARGETSTAGE
RUN echo "$TARGETPLATFORM = $TARGETOS/$TARGETARCH, $BUILDPLATFORM = $BUILDOS/$BUILDARCH, $TARGETSTAGE"
`,
  });
  const [undeclared, declared = ''] = await printed(dir);
  assert.equal(undeclared, 'undeclared: ');
  const [, target, same, build, host, stage] = /^(\S+) = (\S+), (\S+) = (\S+), (\S+)$/.exec(declared) ?? [];
  assert.deepEqual([target, build, stage], [same, host, 'default'], declared);
});

test('SOURCE_DATE_EPOCH sets every time of the image and is visible to an ARG', async () => {
  const text = 'ARG SOURCE_DATE_EPOCH\nLABEL epoch=$SOURCE_DATE_EPOCH\nRUN echo x > /x\n';
  const check = async (args: string[], env: Record<string, string> = {}) => {
    const image = await buildImage(slipway, [...args, busybox(text)], { env });
    assert.equal(image.config.Labels?.epoch, '1600000000');
    assert.equal(image.created, '2020-09-13T12:26:40.000Z');
    assert.equal(image.history.at(-1)?.created, '2020-09-13T12:26:40.000Z');
  };
  await check(['--build-arg', 'SOURCE_DATE_EPOCH=1600000000']);
  await check([], { SOURCE_DATE_EPOCH: '1600000000' });
  const inFile = writeContext(slipway, {
    Dockerfile: 'ARG SOURCE_DATE_EPOCH=1600000000\nFROM scratch\nCOPY Dockerfile /\n',
  });
  assert.equal((await buildImage(slipway, [inFile])).created, '2020-09-13T12:26:40.000Z');
});

test('the host name of RUN is buildkitsandbox, or what BUILDKIT_SANDBOX_HOSTNAME says', async () => {
  const dir = busybox('RUN echo "$(hostname) $HOSTNAME"\n');
  assert.deepEqual(await printed(dir), ['buildkitsandbox buildkitsandbox']);
  assert.deepEqual(await printed(dir, '--build-arg', 'BUILDKIT_SANDBOX_HOSTNAME=workshop'), [
    'workshop workshop',
  ]);
});

test('RUN sees HOME and PATH, stdin is empty, and exec form goes without a shell', async () => {
  const dir = busybox(
    'RUN cat; echo "$HOME $PATH $FTP_PROXY$ftp_proxy"\nRUN ["echo", "$HOME"]\nSHELL ["/bin/sh", "-xc"]\nRUN true\n',
  );
  const proxies = { FTP_PROXY: 'http://of-the-host:1', ftp_proxy: 'http://of-the-host:1' };
  const { stderr } = await slipway.must(['build', '--progress=plain', dir], { env: proxies });
  assert.deepEqual(outputOf(stderr), [
    '/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin ',
    '$HOME',
    '+ true',
  ]);
});

test('heredocs: lines for the shell, a script with its own interpreter, standard input of a program', async () => {
  const dir = busybox(`RUN <<EOF
a=1
echo "lines $a"
EOF
RUN <<-"EOF"
#!/bin/awk -f
	BEGIN { print "awk" }
	EOF
RUN <<-"EOF"
	#!/bin/awk -f
	echo "a comment of the shell's"
	EOF
RUN cat <<one && cat <<'two'
first $((1+1))
one
second $((1+1))
two
RUN 3<<EOF cat /dev/fd/3
on a descriptor
EOF
`);
  assert.deepEqual(await printed(dir), [
    'lines 1',
    'awk',
    "a comment of the shell's",
    'first 2',
    'second $((1+1))',
    'on a descriptor',
  ]);
});

test('USER takes supplementary groups out of the image, and a group that is given replaces them', async () => {
  const dir = busybox(
    `RUN echo "app:x:1000:1000::/home/app:/bin/sh" >> /etc/passwd \\
  && printf 'app:x:1000:\\nextra:x:2000:app\\n' >> /etc/group
USER app
RUN echo "$(id -u) $(id -g) $(id -G) $HOME"
USER app:extra
RUN echo "$(id -u) $(id -g) $(id -G)"
USER 1234
RUN echo "$(id -u) $(id -g)"
`,
  );
  assert.deepEqual(await printed(dir), ['1000 1000 1000 2000 /home/app', '1000 2000 2000', '1234 0']);
});

test('a USER that the image does not know is an error that names it', async () => {
  const ended = await slipway.run(['build', busybox('USER nobdy\nRUN true\n')]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /nobdy/);
  assert.match(ended.stderr, /Dockerfile:3/);
});

test('WORKDIR makes its directory for the USER in force, as a layer; / makes none', async () => {
  const text = 'USER 5:6\nWORKDIR /home/app\nWORKDIR sub\nWORKDIR /\n';
  const image = await buildImage(slipway, [busybox(text)]);
  assert.deepEqual(
    image.history.slice(-4).map(({ created_by, empty_layer }) => [created_by, empty_layer ?? false]),
    [
      ['USER 5:6', true],
      ['WORKDIR /home/app', false],
      ['WORKDIR /home/app/sub', false],
      ['WORKDIR /', true],
    ],
  );
  const files = await buildFiles(slipway, [busybox(text)]);
  assert.equal(files.get('home/app/'), 'drwxr-xr-x 5/6');
  assert.equal(files.get('home/app/sub/'), 'drwxr-xr-x 5/6');
});

test('what is written below a VOLUME stays', async () => {
  const files = await buildFiles(slipway, [
    busybox('VOLUME /data\nRUN mkdir -p /data && echo kept > /data/file\n'),
  ]);
  assert.equal(files.get('data/file'), '-rw-r--r-- 0/0 5');
});

test('ONBUILD triggers run in the build that starts from the image, and not in the next one', async () => {
  const parent = busybox(
    'ONBUILD ARG WHO=nobody\nONBUILD RUN echo "triggered for $WHO"\nONBUILD COPY file /file\n',
  );
  await slipway.must(['build', '-t', 'parent', parent]);
  const child = writeContext(slipway, { Dockerfile: 'FROM parent\nRUN cat /file\n', file: 'of the child\n' });
  assert.deepEqual(await printed(child, '--build-arg', 'WHO=me', '-t', 'child'), [
    'triggered for me',
    'of the child',
  ]);
  const grandchild = writeContext(slipway, { Dockerfile: 'FROM child\nRUN echo own\n' });
  assert.deepEqual(await printed(grandchild), ['own']);
});

test('named contexts: a directory, an image, a layout and a stage stand in for names', async () => {
  const layout = join(slipway.dir, 'named-layout');
  await slipway.must([
    'build',
    '-o',
    `type=oci,tar=false,dest=${layout}`,
    busybox('RUN echo layout > /from\n'),
  ]);
  await slipway.must(['build', '-t', 'made:1', busybox('RUN echo image > /from\n')]);
  const other = writeContext(slipway, { from: 'directory\n', hidden: '', '.dockerignore': 'hidden\n' });
  const dir = writeContext(slipway, {
    Dockerfile: `FROM busybox AS own
RUN echo stage > /from
FROM never.example/x AS replaced
RUN exit 1
FROM busybox
RUN mkdir /got
COPY --from=dir . /got/dir/
COPY --from=image /from /got/image
COPY --from=alpine:3.99 /from /got/layout
COPY --from=stage /from /got/stage
COPY --from=replaced /from /got/replaced
RUN --mount=from=dir,target=/m cat /got/*/from /got/image /got/layout /got/stage /got/replaced && ls /got/dir /m
`,
  });
  const contexts = [
    `dir=${other}`,
    'image=docker-image://made:1',
    `docker.io/library/alpine:3.99=oci-layout://${layout}`,
    'stage=target:own',
    'replaced=docker-image://made:1',
  ];
  assert.deepEqual(await printed(dir, ...contexts.flatMap(each => ['--build-context', each])), [
    'directory',
    'image',
    'layout',
    'stage',
    'image',
    '/got/dir:',
    'from',
    '',
    '/m:',
    'from',
  ]);
});

test('COPY --from takes a stage by name, index or later place, and an image', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: `FROM busybox AS one
RUN echo 1 > /f
FROM scratch AS two
COPY --from=0 /f /by-index
COPY --from=ONE /f /by-name
COPY --from=later /f /from-later
COPY --from=busybox /etc/passwd /from-image
FROM busybox AS later
RUN echo later > /f
`,
  });
  const out = join(slipway.dir, 'copy-from');
  await slipway.must(['build', '--target', 'two', '-o', out, dir]);
  const read = (name: string) => readFileSync(join(out, name), 'utf8');
  assert.deepEqual([read('by-index'), read('by-name'), read('from-later')], ['1\n', '1\n', 'later\n']);
  assert.match(read('from-image'), /^root:/);
});

test('only stages in reach are built, and all of them with --skip-unused-stages=false', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: 'FROM busybox AS lint\nRUN exit 3\nFROM scratch\nLABEL a=b\n',
  });
  await slipway.must(['build', dir]);
  const ended = await slipway.run(['build', '--skip-unused-stages=false', dir]);
  assert.equal(ended.status, 1);
  assert.match(ended.stderr, /status 3/);
});

test('every setting is in the image, with its line of history', async () => {
  const text = `MAINTAINER me
LABEL a=1
EXPOSE 80
ENV E=1
VOLUME /v
USER 1:2
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=1m --timeout=2s --start-period=3s --start-interval=4s --retries=5 CMD check
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN x
ENTRYPOINT ["e"]
CMD ["c"]
`;
  const { config, history, configText } = await buildImage(slipway, ['--label', 'a=cli', busybox(text)]);
  const expected: Partial<ContainerConfig> = {
    User: '1:2',
    ExposedPorts: { '80/tcp': {} },
    Entrypoint: ['e'],
    Cmd: ['c'],
    Volumes: { '/v': {} },
    Labels: { a: 'cli' },
    StopSignal: 'SIGQUIT',
    Healthcheck: {
      Test: ['CMD-SHELL', 'check'],
      Interval: 60e9,
      Timeout: 2e9,
      StartPeriod: 3e9,
      StartInterval: 4e9,
      Retries: 5,
    },
    OnBuild: ['RUN x'],
    Shell: ['/bin/sh', '-ec'],
  };
  for (const [field, value] of Object.entries(expected)) assert.deepEqual(config[field], value, field);
  assert.equal(config.Env?.at(-1), 'E=1');
  assert.equal(JSON.parse(configText).author, 'me');
  assert.deepEqual(
    history.slice(-3).map(entry => [entry.created_by, entry.empty_layer]),
    [
      ['SHELL [/bin/sh -ec]', true],
      ['ENTRYPOINT ["e"]', true],
      ['CMD ["c"]', true],
    ],
  );
});

test('FROM scratch has no layer and still a PATH', async () => {
  const { config, layers } = await buildImage(slipway, [
    writeContext(slipway, { Dockerfile: 'FROM scratch\n' }),
  ]);
  assert.deepEqual(layers, []);
  assert.deepEqual(config.Env, ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']);
  assert.equal(config.WorkingDir, '/');
});

test('RUN --security=insecure needs --allow, and has all capabilities then', async () => {
  const dir = busybox('RUN --security=insecure grep CapEff /proc/self/status\n');
  const ended = await slipway.run(['build', dir]);
  assert.equal(ended.status, 2);
  assert.match(ended.stderr, /--allow security\.insecure/);
  const [line = ''] = await printed(dir, '--allow', 'security.insecure');
  const [usual = ''] = await printed(busybox('RUN grep CapEff /proc/self/status\n'));
  const bits = (text: string) => BigInt(`0x${text.split(/\s+/)[1]}`);
  assert.ok(bits(line) > bits(usual), `${line}, ${usual}`);
});

test('RUN --network=host has the network of the host, also when the build says none', async () => {
  const dir = busybox('RUN ls /sys/class/net\nRUN --network=host ls /proc/net/route\n');
  const refused = await slipway.run(['build', '--no-cache', '--network=none', dir]);
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /--allow network\.host/);
  assert.deepEqual(await printed(dir, '--network=none', '--allow', 'network.host'), [
    'lo',
    '/proc/net/route',
  ]);
});

test('build arguments of docker that change nothing here say so once', async () => {
  const dir = writeContext(slipway, {
    Dockerfile: '# syntax=docker/dockerfile:1\nFROM scratch\nLABEL a=b\n',
  });
  const built = async (arg: string) => (await slipway.must(['build', '--build-arg', arg, dir])).stderr;
  const foreign = await built('BUILDKIT_SYNTAX=example.com/front:1');
  assert.equal(foreign.match(/example\.com\/front:1/g)?.length, 1, foreign);
  assert.doesNotMatch(await built('BUILDKIT_SYNTAX=docker/dockerfile:1.9'), /warning/);
  assert.match(await built('BUILDKIT_BUILD_NAME=x'), /warning: .*BUILDKIT_BUILD_NAME/);
  assert.doesNotMatch(await built('BUILDKIT_INLINE_CACHE=1'), /warning/);
});

test('BUILDKIT_MULTI_PLATFORM makes an index of one platform', async () => {
  const dest = join(slipway.dir, 'multi');
  const dir = writeContext(slipway, { Dockerfile: 'FROM scratch\nLABEL a=b\n' });
  const args = ['--build-arg', 'BUILDKIT_MULTI_PLATFORM=1', '-o', `type=oci,tar=false,dest=${dest}`, dir];
  await slipway.must(['build', ...args]);
  const { manifests } = JSON.parse(readFileSync(join(dest, 'index.json'), 'utf8'));
  assert.equal(manifests[0].mediaType, 'application/vnd.oci.image.index.v1+json');
});

test('checks: findings end a build with status 0, --check with 1, error=true stops the build', async () => {
  const dir = writeContext(slipway, { Dockerfile: 'FROM scratch\nMAINTAINER me\n' });
  const built = await slipway.must(['build', dir]);
  assert.match(built.stderr, /1 warning:\n.*MaintainerDeprecated/);
  const checked = await slipway.run(['build', '--check', dir]);
  assert.equal(checked.status, 1);
  assert.match(checked.stdout, /MaintainerDeprecated/);
  assert.equal((await slipway.run(['lint', dir])).status, 1);
  const skip = ['--build-arg', 'BUILDKIT_DOCKERFILE_CHECK=skip=MaintainerDeprecated'];
  assert.equal((await slipway.run(['build', '--check', ...skip, dir])).status, 0);
  writeFileSync(join(dir, 'Dockerfile'), '# check=error=true\nFROM scratch\nMAINTAINER me\n');
  const stopped = await slipway.run(['build', '-t', 'stopped', dir]);
  assert.equal(stopped.status, 1);
  assert.match(stopped.stderr, /error: .*MaintainerDeprecated/);
  assert.doesNotMatch((await slipway.must(['images'])).stdout, /stopped/);
});

test('checks: without a target all stages are looked at, and what cannot be built is part of JSON and SARIF', async () => {
  const text = 'FROM scratch AS unused\nWORKDIR rel\nFROM scratch AS last\n';
  const dir = writeContext(slipway, { Dockerfile: text });
  assert.match((await slipway.run(['build', '--check', dir])).stdout, /WorkdirRelativePath/);
  assert.equal((await slipway.run(['build', '--check', '--target=last', dir])).status, 0);
  writeFileSync(join(dir, 'Dockerfile'), `${text}EXPOSE x\nSTOPSIGNAL y\n`);
  const json = await slipway.run(['build', '--call=check,format=json', dir]);
  assert.equal(json.status, 1);
  const { warnings, buildError } = JSON.parse(json.stdout);
  assert.equal(warnings.length, 1);
  assert.deepEqual(buildError.location.ranges[0].start, { line: 4 });
  const sarif = await slipway.run(['lint', '--format=sarif', dir]);
  assert.equal(sarif.status, 1);
  const levels = JSON.parse(sarif.stdout).runs[0].results.map((result: { level: string }) => result.level);
  assert.deepEqual(levels, ['warning', 'error', 'error']);
  const shown = await slipway.run(['lint', dir]);
  assert.match(shown.stdout, /WorkdirRelativePath/);
  assert.match(shown.stderr, /Dockerfile:4\n(?:.*\n)*.*Dockerfile:5\n/);
  const targets = await slipway.must(['build', '--call=targets', dir]);
  assert.match(targets.stdout, /unused/);
});

test('checks: --check knows what the images set, lint asks for none, and without them what can be checked is', async () => {
  const dir = busybox('LABEL a=$NOBODY b=$PATH\n');
  const checked = await slipway.run(['build', '--check', dir]);
  assert.equal(checked.status, 1);
  assert.match(checked.stdout, /1 warning.*\n\n.*UndefinedVar.*\n.*\$NOBODY/);
  assert.equal((await slipway.run(['lint', dir])).status, 0);
  const foreign = await slipway.run(['build', '--check', '--platform=linux/arm64', busybox('')]);
  assert.match(foreign.stdout, /InvalidBaseImagePlatform/);
  writeFileSync(join(dir, 'Dockerfile'), 'FROM oci-archive:missing.tar\nLABEL a=$NOBODY\nMAINTAINER me\n');
  const without = await slipway.run(['build', '--check', dir]);
  assert.match(without.stdout, /1 warning.*\n\n.*MaintainerDeprecated/);
  assert.match(without.stderr, /warning: what the images set is not checked: .*missing\.tar/);
});

test('--call shows arguments and stages without building, as text or JSON', async () => {
  const dir = busybox('# VERSION of the thing\nARG VERSION=1\nRUN exit 1\n');
  const outline = await slipway.must(['build', '--call=outline', dir]);
  assert.match(outline.stdout, /VERSION\s+1\s+of the thing/);
  const targets = await slipway.must(['build', '--call=targets,format=json', dir]);
  assert.equal(JSON.parse(targets.stdout).targets.length, 1);
  const wrong = await slipway.run(['build', '--call=outlin', dir]);
  assert.equal(wrong.status, 2);
});

test('a base that is nearly a stage or a well-known image is suggested', async () => {
  const hint = async (text: string, pattern: RegExp) => {
    const ended = await slipway.run(['build', writeContext(slipway, { Dockerfile: text })]);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, pattern);
    assert.match(ended.stderr, /Dockerfile:\d+\n/);
  };
  await hint('FROM ubunt\n', /did you mean ubuntu\?/);
  await hint('FROM scratch AS builder\nFROM busybox\nCOPY --from=bulider / /\n', /did you mean builder\?/);
});
