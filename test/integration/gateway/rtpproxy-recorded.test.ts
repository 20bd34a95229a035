import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { notifiedSocket } from '../../support/notified-socket.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { type Rtpproxy, rtpproxyPrograms, sessionsOn, startRtpproxy } from '../../support/rtpproxy.js';
import { type Transcript, transcripts } from '../../support/rtpproxy-transcripts.js';
import { type Ask, enginesBehind, notifyingEngines, rtpproxyGateway } from './rtpproxy-scene.js';

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

/** @param asAsked a recorded command, as it is said here; what it does before has come to pass by then */
async function replay(
  t: ExecutionContext,
  ask: Ask,
  { name, exchanges }: Transcript,
  asAsked: (command: string, reply: string) => string | Promise<string>,
): Promise<void> {
  for (const [recorded, reply] of exchanges) {
    const command = await asAsked(recorded, reply);
    const told = await ask(command);
    const replies = allowed(command, reply).map((each) => alike(command, each));
    t.true(replies.includes(alike(command, told)), `${name}: ${command}: ${told} instead of ${replies}`);
  }
}

/** An engine of few ports, or one that tells of timeouts. */
const isSpecial = ({ engine, portPairs }: Transcript) =>
  portPairs !== undefined || engine.includes('-m') || engine.includes('-n');

const groups = new Map<string, Transcript[]>();
for (const transcript of transcripts.filter((each) => !isSpecial(each))) {
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
      for (const transcript of recorded) {
        await replay(t, ask, transcript, (command) => command.replace('/tmp/ann', join(directory, 'ann')));
        // The next has sessions of the same names.
        await engine.ask('X');
      }
    },
  );
}

const isPort = (reply: string) => /^[1-9]\d{4} /.test(reply);

for (const transcript of transcripts.filter(({ engine, portPairs }) => portPairs ?? engine.includes('-m'))) {
  testWith.serial(
    rtpproxyPrograms,
    `what was recorded of an engine without ports is answered alike through the gateway: ${transcript.name}`,
    async (t) => {
      const { ask } = await enginesBehind(t, 1, { portPairs: 2 });
      // It looks for a free pair at random, and not for long: only one that has no pair left says so each time.
      const [begun, full] = [true, false].map((has) =>
        transcript.exchanges.filter(([, reply]) => isPort(reply) === has),
      );
      for (const [command] of begun ?? []) {
        await eventually(async () => isPort(await ask(command)), `a port for ${command}`);
      }
      await replay(t, ask, { ...transcript, exchanges: full ?? [] }, (command) => command);
    },
  );
}

for (const transcript of transcripts.filter(({ engine }) => engine.includes('-n'))) {
  testWith.serial(
    rtpproxyPrograms,
    `timeouts that were recorded are told alike through the gateway: ${transcript.name}`,
    async (t) => {
      const proxy = await notifiedSocket(t);
      const [port = ''] = /\d+$/.exec(proxy.name) ?? [];
      const { ask, engines } = await notifyingEngines(t, 1, { ttl: 3, sockets: [proxy.name] });
      await replay(t, ask, transcript, async (command) => {
        if (command.startsWith('Q')) {
          await eventually(async () => (await sessionsOn(engines[0] as Rtpproxy)) === 0, 'timeouts', 20_000);
        }
        return command.replaceAll('20323', port);
      });
      await eventually(() => proxy.heard.length >= 3, 'what is told');
      t.deepEqual([...proxy.heard].sort(), ['tag one', 'tagself', 'tagtwo']);
    },
  );
}
