import test from 'ava';
import { ownCapabilities } from '../../../relay-node/control/rtpproxy/capabilities.js';
import type { MediaInterface } from '../../../relay-node/media/interfaces.js';
import { transcripts } from '../../support/rtpproxy-transcripts.js';
import { rtpproxyScene } from './builtin-rtpproxy-scene.js';

const at = (name: string, address: string, advertised = address) => ({ name, address, advertised });
/** What a built-in relay is given where an engine has these options; of those that tell of timeouts there is a test of its own. */
const interfacesOf: Readonly<Record<string, readonly MediaInterface[]>> = {
  '-l 127.0.0.1': [at('default', '127.0.0.1')],
  '-l 127.0.0.1 -P': [at('default', '127.0.0.1')],
  '-l 127.0.0.1/127.0.0.2': [at('internal', '127.0.0.1'), at('external', '127.0.0.2')],
  '-l 127.0.0.1 -6 /::1': [at('internal', '127.0.0.1'), at('external', '::1')],
  '-l 127.0.0.1/127.0.0.2 -A 198.51.100.1/198.51.100.2': [
    at('internal', '127.0.0.1', '198.51.100.1'),
    at('external', '127.0.0.2', '198.51.100.2'),
  ],
};

/** Addresses that an engine takes, and this relay does not: one that is not its own, and one from which either of two may lead. */
const foreign: Readonly<Record<string, string>> = { 'L127.0.0.3': 'E15', 'R127.0.0.9': 'E16' };

/** What the relay says to what it does not have; undefined where it has it. */
function refusal(command: string): string | undefined {
  const [first = '', ...words] = command.split(' ');
  const [, name = '', modifiers = ''] = /^(.)(.*)$/.exec(first.toUpperCase()) ?? [];
  if (name === 'X' || ('PSRCN'.includes(name) && words.length > 1)) {
    return 'E0';
  }
  if (words.includes('&&')) {
    return 'E3';
  }
  if (name === 'U' || name === 'L') {
    // A port that does not exist: the engine takes it for another one.
    const isWrong = Number(words[2]) > 65_535;
    return foreign[modifiers] ?? (/^N|^A?Z\d\d(?!\d)/.test(modifiers) ? 'E35' : isWrong ? 'E37' : undefined);
  }
  if (name === 'G' && words.some((word) => /complete|duration|succd|errs|pps/.test(word))) {
    return 'E68';
  }
  const [day = ''] = words;
  return first === 'VF' && day !== '' && !(ownCapabilities as readonly string[]).includes(day)
    ? '0'
    : undefined;
}

/** What has become of the calls of a recording. */
class Calls {
  readonly #begun = new Set<string>();
  readonly #refused = new Set<string>();
  readonly #answeredBy = new Map<string, Set<string>>();

  note(command: string, reply: string): void {
    const [first = '', callId = '', , , , to = ''] = command.split(' ');
    const isRefused = reply.startsWith('E');
    if (first.startsWith('U')) {
      (isRefused && !this.#begun.has(callId) ? this.#refused : this.#begun).add(callId);
    } else if (first.startsWith('L') && !isRefused) {
      const answers = this.#answeredBy.get(callId) ?? new Set();
      this.#answeredBy.set(callId, answers.add(to));
    }
  }

  /** Its first command was refused. */
  isRefused(callId: string): boolean {
    return this.#refused.has(callId);
  }

  isForked(callId: string): boolean {
    return (this.#answeredBy.get(callId)?.size ?? 0) > 1;
  }
}

/** What may be answered in place of a recorded reply. */
function allowed(command: string, reply: string, calls: Calls): readonly string[] {
  const own = refusal(command);
  const [first = '', callId = ''] = command.split(' ');
  const name = first.charAt(0);
  if (own !== undefined && (own !== 'E0' || reply !== 'E1')) {
    return [own];
  }
  // Without letters both sides are the internal one, whatever it has; an engine takes the other one for IPv6.
  if (/^[UL]6$/i.test(first) && reply.endsWith(' 6')) {
    return [first.startsWith('U') ? 'E36' : '0'];
  }
  if (calls.isRefused(callId) && 'LD'.includes(name)) {
    return [reply.startsWith('E') ? reply : name === 'L' ? '0' : 'E50'];
  }
  // A delete that names one party does not end the session for others that have answered, or may.
  const ofSession: Readonly<Record<string, string>> = { L: '1 127.0.0.1', Q: '60 0 0 0 0' };
  const isEnded = reply === 'E50' || reply === '0';
  const left = (name === 'D' && '0') || (calls.isForked(callId) && ofSession[name]);
  return isEnded && left ? [reply, left] : [reply];
}

/** Ports are drawn at random, and counters depend on what was before. */
function alike(command: string, text: string): string {
  return /^[QIG]/.test(command)
    ? text.replace(/(?<![\w.])\d[\d.]*/g, 'N')
    : text.replace(/^[1-9]\d*(?= )/, 'PORT');
}

test('what was recorded is of engines that a built-in relay can be like', (t) => {
  const others = transcripts.filter(({ engine }) => !interfacesOf[engine.join(' ')]).map(({ name }) => name);
  t.deepEqual(others, ['commands: timeout-notification', 'commands: ports-used-up']);
});

for (const { name, exchanges, engine, portPairs } of transcripts) {
  const interfaces = interfacesOf[engine.join(' ')];
  // What is used up is used up at other times: this relay takes both pairs of a session at once.
  if (portPairs !== undefined || !interfaces) {
    continue;
  }
  test.serial(`what was recorded is answered alike by the built-in relay: ${name}`, async (t) => {
    const { ask } = await rtpproxyScene(t, { pairs: 16, interfaces });
    const calls = new Calls();
    for (const [command, reply] of exchanges) {
      const told = await ask(command);
      const replies = allowed(command, reply, calls).map((each) => alike(command, each));
      t.true(replies.includes(alike(command, told)), `${command}: ${told} instead of ${replies}`);
      calls.note(command, told);
    }
  });
}
