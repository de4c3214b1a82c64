// How instructions change the config and what they leave in history: one case per line.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ContainerConfig } from '../../src/image/config.ts';
import { configOf, historyOf, targetOf } from './planning.ts';

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Case = readonly [does: string, dockerfile: string, expected: Partial<ContainerConfig>];

/** A field that is expected undefined must be absent. */
const cases: readonly Case[] = [
  [
    'scratch has a PATH and a working directory',
    'FROM scratch',
    { Env: [`PATH=${defaultPath}`], WorkingDir: '/' },
  ],
  [
    'an image without PATH gets one behind its own variables',
    'FROM no-path',
    { Env: ['HOME=/root', `PATH=${defaultPath}`] },
  ],
  ['an image with PATH keeps it', 'FROM busybox', { Env: ['PATH=/usr/bin:/bin'], WorkingDir: undefined }],
  [
    'ENV replaces a variable in its place',
    'FROM busybox\nENV A=1 B=2\nENV A=3',
    { Env: ['PATH=/usr/bin:/bin', 'A=3', 'B=2'] },
  ],
  [
    'ENV sees the variables as they were before it',
    'FROM scratch\nENV A=1\nENV A=2 B=$A',
    { Env: [`PATH=${defaultPath}`, 'A=2', 'B=1'] },
  ],
  [
    'ENV expands names too',
    'FROM busybox\nENV N=KEY\nENV ${N}=v',
    { Env: ['PATH=/usr/bin:/bin', 'N=KEY', 'KEY=v'] },
  ],
  ['ARG is not in the config', 'FROM busybox\nARG A=1', { Env: ['PATH=/usr/bin:/bin'] }],
  [
    'ENTRYPOINT drops the CMD of the image',
    'FROM with-cmd\nENTRYPOINT ["a"]',
    { Entrypoint: ['a'], Cmd: undefined },
  ],
  [
    'ENTRYPOINT keeps a CMD of its stage, in either order',
    'FROM with-cmd\nCMD ["b"]\nENTRYPOINT ["a"]',
    { Entrypoint: ['a'], Cmd: ['b'] },
  ],
  [
    'CMD behind ENTRYPOINT stands',
    'FROM with-cmd\nENTRYPOINT ["a"]\nCMD ["b"]',
    { Entrypoint: ['a'], Cmd: ['b'] },
  ],
  [
    'ENTRYPOINT drops the CMD of the stage below',
    'FROM busybox AS a\nCMD ["b"]\nFROM a\nENTRYPOINT ["a"]',
    { Cmd: undefined },
  ],
  ['CMD says that its words are escaped', 'FROM scratch\nCMD ["a"]', { Cmd: ['a'], ArgsEscaped: true }],
  ['ENTRYPOINT alone does not say so', 'FROM scratch\nENTRYPOINT ["a"]', { ArgsEscaped: undefined }],
  ['a shell form goes through /bin/sh', 'FROM scratch\nCMD echo  $A', { Cmd: ['/bin/sh', '-c', 'echo  $A'] }],
  [
    'SHELL changes the shell of what follows',
    'FROM scratch\nSHELL ["/sh", "-x"]\nENTRYPOINT a b',
    { Entrypoint: ['/sh', '-x', 'a b'], Shell: ['/sh', '-x'] },
  ],
  ['the SHELL of the image is used', 'FROM with-shell\nCMD a', { Cmd: ['/bin/fish', '-c', 'a'] }],
  ['an empty CMD leaves none', 'FROM with-cmd\nCMD []', { Cmd: undefined, ArgsEscaped: true }],
  ['WORKDIR is below the one before', 'FROM with-workdir\nWORKDIR x/../y', { WorkingDir: '/base/dir/y' }],
  ['an absolute WORKDIR is kept as written', 'FROM scratch\nWORKDIR /a//b/', { WorkingDir: '/a//b/' }],
  ['WORKDIR can not leave the root', 'FROM scratch\nWORKDIR ../../x', { WorkingDir: '/x' }],
  ['an empty WORKDIR changes nothing', 'FROM with-workdir\nWORKDIR $NONE', { WorkingDir: '/base/dir' }],
  [
    'EXPOSE writes lower case and expands ranges',
    'FROM with-ports\nEXPOSE 80/UDP 3-4',
    { ExposedPorts: { '3/tcp': {}, '4/tcp': {}, '80/udp': {}, '9/tcp': {} } },
  ],
  [
    'EXPOSE of a mapping means the port of the container',
    'FROM scratch\nEXPOSE [::1]:1:2 3:4/sctp',
    { ExposedPorts: { '2/tcp': {}, '4/sctp': {} } },
  ],
  [
    'EXPOSE splits what a variable holds',
    'FROM scratch\nARG P="1 2"\nEXPOSE $P',
    { ExposedPorts: { '1/tcp': {}, '2/tcp': {} } },
  ],
  ['VOLUME adds', 'FROM scratch\nVOLUME /b\nVOLUME ["/a"]', { Volumes: { '/a': {}, '/b': {} } }],
  ['LABEL wins over the one before', 'FROM with-labels\nLABEL a=1 a=2', { Labels: { a: '2', z: 'base' } }],
  ['USER is what it says, an unset variable is root', 'FROM with-workdir\nUSER $NONE', { User: undefined }],
  ['STOPSIGNAL is kept as written', 'FROM scratch\nSTOPSIGNAL sigquit', { StopSignal: 'sigquit' }],
  [
    'HEALTHCHECK replaces the whole check of the image',
    'FROM with-cmd\nHEALTHCHECK CMD x',
    { Healthcheck: { Test: ['CMD-SHELL', 'x'] } },
  ],
  ['HEALTHCHECK NONE switches off', 'FROM with-cmd\nHEALTHCHECK NONE', { Healthcheck: { Test: ['NONE'] } }],
  ['a check of the image stays', 'FROM with-cmd', { Healthcheck: { Test: ['CMD', 'old'], Retries: 7 } }],
  ['ONBUILD is stored as written', 'FROM scratch\nONBUILD RUN  echo $A', { OnBuild: ['RUN  echo $A'] }],
  [
    'ONBUILD of a stage below has fired and is gone',
    'FROM scratch AS a\nONBUILD LABEL x=1\nFROM a',
    { OnBuild: undefined, Labels: { x: '1' } },
  ],
  [
    'ONBUILD fires before the own instructions',
    'FROM scratch AS a\nONBUILD ENV X=1\nFROM a\nLABEL x=$X',
    { Labels: { x: '1' } },
  ],
  [
    'ONBUILD with arguments sees those of the child',
    'FROM scratch AS a\nONBUILD ARG V=1\nONBUILD LABEL v=$V\nFROM a',
    { Labels: { v: '1' } },
  ],
];

describe('the config behind', () => {
  for (const [does, dockerfile, expected] of cases) {
    it(does, () => {
      const config = configOf(dockerfile);
      for (const [field, value] of Object.entries(expected)) assert.deepEqual(config[field], value, field);
    });
  }

  it('MAINTAINER names an author', () => {
    assert.equal(targetOf('FROM scratch\nMAINTAINER Jo "J" <jo@x>').config.author, 'Jo "J" <jo@x>');
  });

  it('has its fields and its maps in one order, however the instructions were', () => {
    const one = configOf('FROM scratch\nLABEL b=1\nLABEL a=1\nUSER u\nCMD ["c"]\nEXPOSE 2\nEXPOSE 1');
    const other = configOf('FROM scratch\nEXPOSE 1 2\nCMD ["c"]\nLABEL a=1 b=1\nUSER u');
    assert.equal(JSON.stringify(one), JSON.stringify(other));
  });

  it('has the keys of a map in the order of their bytes', () => {
    const { Labels = {} } = configOf('FROM scratch\nLABEL \u{1f600}=1 b=1 \uff5e=1\nLABEL a=1');
    assert.deepEqual(Object.keys(Labels), ['a', 'b', '\uff5e', '\u{1f600}']);
  });

  it('has one entry for a variable that is set twice, also by one ENV', () => {
    assert.deepEqual(configOf('FROM scratch\nENV A=1 B=1 A=2\nENV B=3 C=4 B=5').Env?.slice(1), [
      'A=2',
      'B=5',
      'C=4',
    ]);
  });

  it('keeps what it does not know of an image, and its creation time does not come along', () => {
    const { config } = targetOf('FROM busybox\nLABEL a=1');
    assert.equal(config.created, undefined);
    assert.deepEqual(config.config.Cmd, ['sh']);
  });
});

const histories: readonly (readonly [instructions: string, expected: string])[] = [
  ['ENV A=1 B="x y"', 'ENV A=1 B=x y'],
  ['LABEL a=1 "b c"=d', 'LABEL a=1 b c=d'],
  ['EXPOSE 80 443/UDP 80', 'EXPOSE [443/udp 80/tcp 80/tcp]'],
  ['EXPOSE 0 65535 00080', 'EXPOSE [0/tcp 80/tcp 65535/tcp]'],
  ['VOLUME /a /b', 'VOLUME [/a /b]'],
  ['USER a:b', 'USER a:b'],
  ['WORKDIR sub/', 'WORKDIR /sub'],
  ['STOPSIGNAL SIGTERM', 'STOPSIGNAL SIGTERM'],
  ['SHELL ["/bin/sh", "-c"]', 'SHELL [/bin/sh -c]'],
  ['CMD say "hi"', 'CMD ["/bin/sh" "-c" "say \\"hi\\""]'],
  ['ENTRYPOINT ["é", "\\t"]', 'ENTRYPOINT ["é" "\\t"]'],
  [
    'HEALTHCHECK --interval=1m --retries=65 CMD a',
    'HEALTHCHECK &{["CMD-SHELL" "a"] "1m0s" "0s" "0s" "0s" \'A\'}',
  ],
  ['ARG A=1 B', 'ARG A=1 B'],
  ['COPY --chown=1 --parents --link a b /c/', 'COPY --parents --chown=1 a b /c/ # buildkit'],
  ['ADD https://x.example/y /c', 'ADD https://x.example/y /c # buildkit'],
  ['RUN a  b', 'RUN /bin/sh -c a  b # buildkit'],
  ['RUN ["a", "b c"]', 'RUN a b c # buildkit'],
];

describe('history as BuildKit writes it', () => {
  for (const [instruction, expected] of histories) {
    it(`for ${instruction}`, () => assert.deepEqual(historyOf(`FROM scratch\n${instruction}`), [expected]));
  }

  it('has no line for ONBUILD', () => assert.deepEqual(historyOf('FROM scratch\nONBUILD RUN x'), []));

  it('lists declared arguments in front of RUN with the values that the command sees', () => {
    const text = 'FROM scratch\nARG A=1 B\nENV A=env\nARG A\nRUN x';
    assert.equal(historyOf(text).at(-1), 'RUN |2 A=env B= /bin/sh -c x # buildkit');
  });
});
