import type { Act, CallParties, ControlRequest, Reading, Verdict } from '../protocol.js';
import { type Command, type CommandName, readCommand, wordsOf } from './command.js';
import { errorCodes, errorReply } from './errors.js';
import { judgeReply } from './reply.js';
import { parseTag } from './tag.js';

const acts: Readonly<Record<CommandName, Act>> = {
  U: 'begin',
  L: 'answer',
  D: 'delete',
  Q: 'query',
  P: 'in-dialog',
  S: 'in-dialog',
  R: 'in-dialog',
  C: 'in-dialog',
  N: 'in-dialog',
  I: 'list',
  G: 'list',
  V: 'ping',
  X: 'unknown',
};

/** Where a command has its first tag: after the Call-ID, and what is between them. */
const tagAt: Readonly<Partial<Record<CommandName, number>>> = {
  U: 3,
  L: 3,
  P: 3,
  C: 2,
  D: 1,
  S: 1,
  R: 1,
  N: 1,
  Q: 1,
};

const done = Buffer.from('0\n');
/** No tag of SIP (RFC 3261 section 25.1) does. */
const looksLikeSocket = /^(?:[a-z]+:|\/)/i;
const keysCommand = /^M3:\d+$/i;

/** What a `U` or `L` says of one party's media. */
export interface Media {
  /** Of the party whose media it is; undefined for an `L` that does not say who answers. */
  readonly of: string | undefined;
  /** The other party, if it is named. */
  readonly to: string | undefined;
  readonly modifiers: string;
  readonly address: string;
  readonly port: string;
  /** Where a timeout is to be told, and as what; none, or both words. */
  readonly notify: readonly string[];
}

/** An rtpproxy request. It is answered in rtpproxy's numbers. */
export class RtpproxyRequest implements ControlRequest {
  readonly protocol = 'rtpproxy';
  readonly act: Act;
  /** The Call-ID as its relay knows it: SIP proxies may put the Via branch, or an id of theirs, behind it. */
  readonly sessionId: string;
  readonly callId: Buffer | undefined;
  readonly joinedCallIds: readonly Buffer[];
  readonly parties: CallParties | undefined;
  readonly needs: readonly string[];

  constructor(
    readonly body: Buffer,
    private readonly parsed: Command,
    act?: Act,
    readonly notices: readonly string[] = [],
  ) {
    const { name, words } = parsed;
    this.sessionId = tagAt[name] === undefined ? '' : (words[0] ?? '');
    this.act = act ?? (this.#isFurtherStream ? 'extend' : acts[name]);
    const callId = this.sessionId && callIdOf(this.sessionId);
    this.callId = callId ? Buffer.from(callId, 'latin1') : undefined;
    this.parties = callId ? { callId: bytes(this.sessionId), ...this.#tags } : undefined;
    this.joinedCallIds = name === 'U' && callId ? firstLegOf(callId) : [];
    this.needs = name === 'U' ? needsOf(parsed.modifiers) : [];
  }

  /** The same request, where it is known that it is the other party's media: proxies without `L` send a second `U`. */
  asAnswer(): RtpproxyRequest {
    return new RtpproxyRequest(this.body, this.parsed, 'answer', this.notices);
  }

  get name(): CommandName {
    return this.parsed.name;
  }

  get modifiers(): string {
    return this.parsed.modifiers;
  }

  /** What follows the letter. */
  get words(): readonly string[] {
    return this.parsed.words;
  }

  get hasSubCommand(): boolean {
    return this.parsed.hasSubCommand;
  }

  get command(): string {
    return `${this.name}${this.modifiers}`;
  }

  get commandName(): string {
    return this.name;
  }

  /** First tag, and second. */
  get tags(): readonly [from: string, to: string | undefined] {
    const { words } = this;
    const at = tagAt[this.name] ?? words.length;
    const hasTo = this.name !== 'U' || words.length - this.notify.length === 5;
    return [words[at] ?? '', hasTo ? words[at + 1] : undefined];
  }

  /**
   * Where a timeout of a `U` is to be told, and as what: none, or both words. Kamailio 5 sends no tag, behind the party's: a
   * socket alone.
   */
  get notify(): readonly string[] {
    const { name, words } = this;
    if (name !== 'U' || words.length < 6) {
      return [];
    }
    const [socket = '', tag = ''] = words.slice(-2);
    return words.length === 6 && looksLikeSocket.test(tag) && !looksLikeSocket.test(socket)
      ? [tag]
      : [socket, tag];
  }

  /** Whether keys that are pressed are to be told: the sub-command `M3:1 TAG` of the engine's module `catch_dtmf`. */
  get tellsKeys(): boolean {
    return this.hasSubCommand && this.#all.some((word) => keysCommand.test(word));
  }

  /**
   * The same `U` or `L`, where timeouts are told otherwise, or to nobody. The loss of its relay is told alike.
   * @param keyTag what keys are told as, for what they were to be told as; both URL-encoded
   */
  notifying(
    notify: readonly string[],
    keyTag: (tag: string) => string = (tag) => tag,
  ): Reading<RtpproxyRequest> {
    const all = this.#all;
    const end = 1 + this.words.length;
    const subCommands = all
      .slice(end)
      .map((word, i, words) => (keysCommand.test(words[i - 1] ?? '') ? keyTag(word) : word));
    const words = [...all.slice(0, end - this.notify.length), ...notify, ...subCommands];
    const body = bytes(words.join(' '));
    const command = readCommand(body);
    return typeof command === 'number'
      ? { kind: 'refused', reply: errorReply(command) }
      : { kind: 'request', request: new RtpproxyRequest(body, command, undefined, notify.slice(1)) };
  }

  /** Undefined for any other command than `U` and `L`. */
  get media(): Media | undefined {
    const { name, modifiers, words } = this;
    if (name !== 'U' && name !== 'L') {
      return undefined;
    }
    const [, address = '', port = ''] = words;
    const [from, to] = this.tags;
    const notify = this.notify.length === 2 ? this.notify : [];
    const [of, other] = name === 'U' ? [from, to] : [to, from];
    return { of, to: other, modifiers, address, port, notify };
  }

  /** All words, those of sub-commands included. */
  get #all(): string[] {
    return wordsOf(this.body.toString('latin1'));
  }

  judge(reply: Buffer): Verdict {
    return judgeReply(reply, this.act);
  }

  ok(): Buffer {
    return done;
  }

  /** Nothing in the protocol says why a relay is not asked, or says nothing: the log does. */
  error(): Buffer {
    return errorReply(errorCodes.relaySilent);
  }

  unknownCall(): Buffer {
    return this.act === 'answer' || this.act === 'delete' ? done : errorReply(errorCodes.unknownSession);
  }

  full(): Buffer {
    return errorReply(errorCodes.noSession);
  }

  get #tags(): Pick<CallParties, 'fromTag' | 'toTag'> {
    const [from, to] = this.tags;
    return { fromTag: bytes(from), toTag: to === undefined ? undefined : bytes(to) };
  }

  /** A `U` for the second stream of a call and those after it, which has to go where the first one is. */
  get #isFurtherStream(): boolean {
    return this.name === 'U' && (parseTag(this.tags[0]).stream ?? 1) > 1;
  }
}

/** A request of this process's own. */
export function ownRequest(text: string): RtpproxyRequest {
  const body = bytes(text);
  const command = readCommand(body);
  if (typeof command === 'number') {
    throw new Error(`not an rtpproxy command: ${text}`);
  }
  return new RtpproxyRequest(body, command);
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** All branches of a call are one: a branch parameter (RFC 3261 section 8.1.1.7) behind the Call-ID is not part of it. */
function callIdOf(sessionId: string): string {
  const at = sessionId.lastIndexOf(';z9hG4bK');
  return at > 0 ? sessionId.slice(0, at) : sessionId;
}

/** Sippy numbers the streams of a call behind its Call-ID, from 0: those after the first belong beside it. */
function firstLegOf(callId: string): Buffer[] {
  const [, id] = /^(.+)-[1-9]\d?$/s.exec(callId) ?? [];
  return id === undefined ? [] : [bytes(`${id}-0`)];
}

/** Two sides, or an IPv6 address. What a modifier takes as its value may hold the same letters. */
function needsOf(modifiers: string): string[] {
  const letters = modifiers.toLowerCase().replace(/c[\d,]+|z\d+|[lr](?:\{[^}]*\}|[\d.:a-f]+)/g, '');
  return [...(letters.includes('e') ? ['bridge'] : []), ...(letters.includes('6') ? ['ipv6'] : [])];
}
