import { parseTag } from '../../services/control/rtpproxy/tag.js';
import type { RelayModel } from './model-relays.js';

/** The stream of a call between the party of its tag and everybody else. */
interface Session {
  readonly callId: string;
  /** With the number of the stream. */
  readonly tag: string;
}

const replies = { done: '0', port: '30000', noSession: 'E72', unknownSession: 'E50', unknownCommand: 'E0' };
/** Time to live, packets of each party, relayed and dropped. */
const counters = '60 0 0 0 0';

/**
 * What rtpproxy 3 makes of the commands of a SIP proxy: which sessions it knows, and how it answers. Nothing of media, nor of
 * time. A test holds it to a real engine.
 */
export class RtpproxyRelayModel implements RelayModel {
  readonly #sessions = new Set<Session>();
  /** No ports for new sessions, also of a call that it knows. */
  isFull = false;
  /** As `isFull`: it knows no other limit. */
  isOutOfPorts = false;

  get callIds(): string[] {
    return [...new Set([...this.#sessions].map(({ callId }) => callId))];
  }

  forgetAll(): void {
    this.#sessions.clear();
  }

  answer(body: Buffer): Buffer {
    return Buffer.from(`${this.handle(body.toString('latin1'))}\n`);
  }

  /** @returns the reply without its end of line */
  handle(command: string): string {
    const [letter = '', callId = '', ...words] = command.split(' ');
    switch (letter) {
      case 'U': {
        const [, , from = '', to] = words;
        return this.#update(callId, from, to);
      }
      case 'L': {
        const [, , from = '', to] = words;
        return this.#find(callId, [from, to]) ? replies.port : replies.done;
      }
      case 'D':
        return this.#delete(callId, words);
      case 'Q':
        return this.#find(callId, words) ? counters : replies.unknownSession;
      default:
        return replies.unknownCommand;
    }
  }

  #update(callId: string, from: string, to: string | undefined): string {
    if (this.#find(callId, [from, to])) {
      return replies.port;
    }
    if (this.isFull || this.isOutOfPorts) {
      return replies.noSession;
    }
    this.#sessions.add({ callId, tag: from });
    return replies.port;
  }

  /** By the first tag, else by the second. */
  #find(callId: string, tags: readonly (string | undefined)[]): Session | undefined {
    const ofCall = [...this.#sessions].filter((session) => session.callId === callId);
    return tags.flatMap((tag) => ofCall.find((session) => session.tag === tag) ?? [])[0];
  }

  /** Of both parties; without the number of a stream it ends all streams of the party. */
  #delete(callId: string, tags: readonly string[]): string {
    const isNamed = (session: Session) =>
      session.callId === callId && tags.some((tag) => [session.tag, parseTag(session.tag).tag].includes(tag));
    const named = [...this.#sessions].filter(isNamed);
    for (const session of named) {
      this.#sessions.delete(session);
    }
    return named.length > 0 ? replies.done : replies.unknownSession;
  }
}
