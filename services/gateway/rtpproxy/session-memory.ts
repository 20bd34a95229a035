import type { CallParties, ControlRequest } from '../../control/protocol.js';
import { rtpproxy } from '../../control/rtpproxy/protocol.js';
import { RtpproxyRequest } from '../../control/rtpproxy/request.js';
import { parseTag, tagOf } from '../../control/rtpproxy/tag.js';
import type { Call } from '../../domain/call.js';
import type { Relay } from '../../domain/relay.js';
import { BoundedMap } from '../../runtime/bounded-map.js';
import type { Clock } from '../../runtime/clock.js';
import type { CallMemory } from '../call-memory.js';
import { Session } from './session.js';

export interface SessionMemoryLimits {
  /** Calls of which media is remembered. */
  readonly calls: number;
  /** Bytes of requests that are remembered of all calls. */
  readonly bytes: number;
  /** Calls of which nothing but names is. */
  readonly names: number;
  /** Of one call. */
  readonly sessions: number;
}

export const sessionMemoryLimits: SessionMemoryLimits = {
  calls: 65_536,
  bytes: 64 << 20,
  names: 4096,
  sessions: 16,
};

/** The sessions of one call on the relays of one set. */
interface Remembered {
  readonly set: string;
  /** Of the relay that has them. */
  instance: string;
  sessions: Session[];
  bytes: number;
}

/**
 * An rtpproxy knows a session by its tags, lists none, and is told of one party's media at a time. So the names of sessions are
 * remembered, to ask for them, and the last that each party said, to tell it to the next relay. What was forgotten longest ago
 * goes first.
 */
export class SessionMemory implements CallMemory {
  readonly protocol = rtpproxy;
  readonly #limits: SessionMemoryLimits;
  /** By Call-ID, the one that was used last at the end. */
  readonly #calls = new Map<string, Remembered[]>();
  readonly #names: BoundedMap<CallParties>;
  #bytes = 0;

  constructor(
    private readonly clock: Clock,
    limits = sessionMemoryLimits,
  ) {
    this.#limits = limits;
    this.#names = new BoundedMap({ entries: limits.names });
  }

  /** Calls of which media is remembered. */
  get size(): number {
    return this.#calls.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  queries(call: Call, parties = this.#names.get(call.callId)): readonly ControlRequest[] {
    const known = this.#find(call)?.sessions ?? [];
    const names = known.flatMap(({ sessionId, names }) => names.map((tag) => [sessionId, tag] as const));
    const guesses = names.length > 0 || !parties ? [] : guessed(parties);
    return [...names, ...guesses].map(([sessionId, tag]) =>
      rtpproxy.queryRequest({
        callId: Buffer.from(sessionId, 'latin1'),
        fromTag: Buffer.from(tag, 'latin1'),
      }),
    );
  }

  /** A session has the tag of the one who began it: where it is not remembered, either of the two may be that one. */
  isNamedBy(call: Call, { fromTag, toTag }: CallParties): boolean {
    const isOfAll = (tag: Buffer | undefined) => tag && parseTag(tag.toString('latin1')).stream === undefined;
    return this.#find(call) !== undefined || Boolean(isOfAll(fromTag) && isOfAll(toTag));
  }

  heard({ callId }: Call, parties: CallParties): void {
    if (this.#calls.has(callId)) {
      return;
    }
    this.#names.set(callId, parties);
  }

  accepted(call: Call, request: ControlRequest, { instance, set }: Relay): void {
    if (!(request instanceof RtpproxyRequest) || !request.media) {
      return;
    }
    const nowMs = this.clock.monotonicMs();
    const remembered = this.#touch(call.callId, set, instance);
    // Where the call was moved, what was not told anew has been replayed.
    remembered.instance = instance;
    const known = remembered.sessions.find((session) => session.isNamedBy(request));
    known?.note(request, nowMs);
    const begun = known ? undefined : Session.begun(request, nowMs);
    if (begun && remembered.sessions.length < this.#limits.sessions) {
      remembered.sessions.push(begun);
    }
    const bytes = remembered.sessions.reduce((sum, session) => sum + session.bytes, 0);
    this.#bytes += bytes - remembered.bytes;
    remembered.bytes = bytes;
    if (remembered.sessions.length === 0) {
      this.#forget(call.callId, remembered);
    }
    this.#makeRoom();
  }

  ended(call: Call, request: ControlRequest): void {
    const remembered = this.#find(call);
    if (!remembered || !(request instanceof RtpproxyRequest)) {
      return;
    }
    remembered.sessions = remembered.sessions.filter((session) => !session.isDeletedBy(request));
    if (remembered.sessions.length === 0) {
      this.#forget(call.callId, remembered);
    }
  }

  replay(call: Call, { instance }: Relay): readonly ControlRequest[] {
    const remembered = this.#find(call);
    return remembered && remembered.instance !== instance
      ? remembered.sessions.flatMap((session) => session.replay())
      : [];
  }

  /** The words in which a relay was told whom to tell of the session: none, or both. */
  notifyOf(call: Call, request: RtpproxyRequest): readonly string[] {
    return this.#find(call)?.sessions.find((session) => session.isNamedBy(request))?.notify ?? [];
  }

  /** A `U` that tells the media of the party that has not told it yet: it answers the session that its second tag names. */
  isAnswer(call: Call, request: RtpproxyRequest): boolean {
    const [, to] = request.tags;
    const sessions = this.#find(call)?.sessions ?? [];
    return (
      request.name === 'U' &&
      sessions.some((session) => session.isNamedBy(request) && session.tag === to && session.isUnanswered)
    );
  }

  /**
   * Whether a delete is of one branch of a forked call whose session is still needed; then that branch has left, from now on. A
   * weak delete (`Dw`) counts for itself at the relay.
   * @returns what its relay is to be told instead; undefined if it is no such delete
   */
  leaves(call: Call, request: RtpproxyRequest): readonly RtpproxyRequest[] | undefined {
    if (request.modifiers !== '') {
      return undefined;
    }
    const sessions = (this.#find(call)?.sessions ?? []).filter((session) => session.isDeletedBy(request));
    const nowMs = this.clock.monotonicMs();
    const isLeft = sessions.length > 0 && sessions.every((session) => session.isLeft(request, nowMs));
    return isLeft ? sessions.flatMap((session) => session.leave(request) ?? []) : undefined;
  }

  /** A delete that is no branch's, as it goes to the relay. */
  endingAll(call: Call, request: RtpproxyRequest): RtpproxyRequest {
    for (const session of this.#find(call)?.sessions ?? []) {
      const ending = session.isDeletedBy(request) ? session.endingAll(request) : undefined;
      if (ending) {
        return ending;
      }
    }
    return request;
  }

  /** A request that names no set means the set that the call is in. */
  #find({ callId, set, anySet }: Call): Remembered | undefined {
    const all = this.#calls.get(callId);
    return all?.find((each) => each.set === set) ?? (anySet ? all?.[0] : undefined);
  }

  #touch(callId: string, set: string, instance: string): Remembered {
    const all = this.#calls.get(callId) ?? [];
    this.#calls.delete(callId);
    this.#calls.set(callId, all);
    this.#names.delete(callId);
    const known = all.find((each) => each.set === set);
    if (known) {
      return known;
    }
    const remembered = { set, instance, sessions: [], bytes: 0 };
    all.push(remembered);
    return remembered;
  }

  #forget(callId: string, remembered: Remembered): void {
    const rest = (this.#calls.get(callId) ?? []).filter((each) => each !== remembered);
    this.#bytes -= remembered.bytes;
    if (rest.length > 0) {
      this.#calls.set(callId, rest);
    } else {
      this.#calls.delete(callId);
    }
  }

  #makeRoom(): void {
    for (const [callId, all] of this.#calls) {
      if (this.#calls.size <= this.#limits.calls && this.#bytes <= this.#limits.bytes) {
        return;
      }
      this.#calls.delete(callId);
      this.#bytes -= all.reduce((sum, { bytes }) => sum + bytes, 0);
    }
  }
}

/** Which of its tags the session has, a delete does not say, nor whether the streams are numbered: from 1, if they are. */
function guessed({ callId, fromTag, toTag }: CallParties): (readonly [sessionId: string, tag: string])[] {
  const words = [fromTag, toTag].flatMap((tag) => (tag ? [tag.toString('latin1')] : []));
  const tags = words.flatMap((word) => [tagOf(word), `${tagOf(word)};1`, word]);
  return [...new Set(tags)].map((tag) => [callId.toString('latin1'), tag]);
}
