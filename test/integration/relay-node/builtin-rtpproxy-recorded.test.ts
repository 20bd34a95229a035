import test from 'ava';
import { ownCapabilities } from '../../../relay-node/control/rtpproxy/capabilities.js';
import { transcripts } from '../../support/rtpproxy-transcripts.js';
import { rtpproxyScene } from './builtin-rtpproxy-scene.js';

/** Of an engine with one address, as the built-in relay is. */
const oneAddress = transcripts.filter(({ engine }) => engine.join(' ') === '-l 127.0.0.1');

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
    return /^[AN]|^Z\d\d(?!\d)/.test(modifiers) ? 'E35' : isWrong ? 'E37' : undefined;
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

test('most of what was recorded is of an engine with one address', (t) => {
  t.true(oneAddress.length > transcripts.length / 2);
});

for (const { name, exchanges, portPairs } of oneAddress) {
  // What is used up is used up at other times: this relay takes both pairs of a session at once.
  if (portPairs !== undefined) {
    continue;
  }
  test(`what was recorded is answered alike by the built-in relay: ${name}`, async (t) => {
    const { ask } = await rtpproxyScene(t, { pairs: 64 });
    const calls = new Calls();
    for (const [command, reply] of exchanges) {
      const told = await ask(command);
      const replies = allowed(command, reply, calls).map((each) => alike(command, each));
      t.true(replies.includes(alike(command, told)), `${command}: ${told} instead of ${replies}`);
      calls.note(command, told);
    }
  });
}
