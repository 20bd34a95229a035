import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testWith } from '../../support/requirement.js';
import { rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { type Transcript, transcripts } from '../../support/rtpproxy-transcripts.js';
import { rtpproxyGateway } from './rtpproxy-scene.js';

/** What a gateway may answer: what a plain rtpproxy does, unless it knows better. */
function allowed(command: string, reply: string): string[] {
  const name = command.charAt(0).toUpperCase();
  if (name === 'D' && reply === 'E50') {
    // Of a call that is bound to no relay the gateway says it: nobody has to do anything about it.
    return [reply, '0'];
  }
  return command === 'X' ? ['E0'] : command === 'VF 20081224' ? ['0'] : [reply];
}

/** Ports are drawn at random, and counters depend on what was before. */
function alike(command: string, text: string): string {
  if (/^[IG]/.test(command)) {
    return text.replace(/(?<![\w.])\d[\d.]*/g, 'N');
  }
  return text.replace(/\b[1-9]\d{4}\b/g, 'PORT');
}

/** Sessions that the engine would have lost meanwhile, or that need another engine. */
const leftOut = [
  // What is used up there is used up by chance: a free pair of ports is looked for at random.
  'Kamailio: full',
  'commands: ports-used-up',
  // The engine is to connect to a listener.
  'commands: timeout-notification',
];

const groups = new Map<string, Transcript[]>();
for (const transcript of transcripts.filter(({ name }) => !leftOut.includes(name))) {
  const options = transcript.engine.join(' ');
  groups.set(options, [...(groups.get(options) ?? []), transcript]);
}

for (const [options, recorded] of groups) {
  testWith.serial(
    rtpproxyPrograms,
    `what was recorded is answered alike through the gateway, by an engine with ${options}`,
    async (t) => {
      const engine = await startRtpproxy(t, { engine: options.split(' '), portPairs: 100 });
      const { ask } = await rtpproxyGateway(t, [{ id: 'r1', controlUrl: engine.controlUrl }]);
      // A prompt: a second of silence, G.711.
      const directory = await mkdtemp(join(tmpdir(), 'holdfast-'));
      t.teardown(() => rm(directory, { recursive: true }));
      await writeFile(join(directory, 'ann.0'), Buffer.alloc(8000, 0xff));
      for (const { name, exchanges } of recorded) {
        for (const [recordedCommand, reply] of exchanges) {
          const command = recordedCommand.replace('/tmp/ann', join(directory, 'ann'));
          const told = await ask(command);
          const replies = allowed(command, reply).map((each) => alike(command, each));
          t.true(
            replies.includes(alike(command, told)),
            `${name}: ${command}: ${told} instead of ${replies}`,
          );
        }
        // The next has sessions of the same names.
        await engine.ask('X');
      }
    },
  );
}
