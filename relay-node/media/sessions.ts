import type { Clock } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import type { SessionDescription } from '../control/ng/sdp.js';
import { Call, type CallLimits, type Parties } from './call.js';
import { RefusedError, type Signal } from './dialog.js';
import type { MediaSockets } from './sockets.js';
import { otherSide } from './stream.js';

export interface SessionLimits extends CallLimits {
  readonly maxSessions: number;
}

export class SessionLimitError extends Error {
  override readonly name = 'SessionLimitError';
}

export interface Counts {
  managed: number;
  rejected: number;
  silentTimeouts: number;
  offerTimeouts: number;
  terminated: number;
}

export interface MediaRequest extends Parties {
  readonly callId: string;
  readonly sdp: SessionDescription;
  readonly replaceOrigin: boolean;
  readonly source: string | undefined;
}

const stopping = 'The relay is stopping';

/** The relay's calls. Requests about one call are carried out one after the other. */
export class Sessions {
  readonly counts: Counts = { managed: 0, rejected: 0, silentTimeouts: 0, offerTimeouts: 0, terminated: 0 };
  readonly #calls = new Map<string, Call>();
  readonly #listeners = new Set<(calls: number) => void>();
  #reported = 0;
  #closed = false;

  constructor(
    private readonly sockets: MediaSockets,
    private readonly limits: SessionLimits,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  get size(): number {
    return this.#calls.size;
  }

  ids(limit = Number.POSITIVE_INFINITY): string[] {
    const ids: string[] = [];
    for (const id of this.#calls.keys()) {
      if (ids.length >= limit) {
        break;
      }
      ids.push(id);
    }
    return ids;
  }

  get(callId: string): Call | undefined {
    return this.#calls.get(callId);
  }

  /** Told the number of calls whenever it has changed; the returned function ends that. */
  onChange(listener: (calls: number) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async offer(request: MediaRequest): Promise<string> {
    const call = this.#calls.get(request.callId) ?? this.#newCall(request.callId);
    return this.#inTurn(call, async () => {
      // Stopped while this request waited for its turn.
      if (this.#closed) {
        throw new RefusedError(stopping);
      }
      const before = call.dialogs.size;
      const { dialog, side } = call.placeOffer(request);
      const isNew = call.dialogs.size > before;
      try {
        const sdp = await dialog.signal(toSignal('offer', side, request));
        if (!call.established) {
          this.counts.managed++;
        }
        call.established = true;
        return sdp;
      } catch (error) {
        if (isNew) {
          call.end(dialog);
        }
        throw error;
      }
    });
  }

  /** Undefined: there is no such call, or nobody of that call offered anything. */
  async answer(request: MediaRequest): Promise<string | undefined> {
    const call = this.#calls.get(request.callId);
    if (!call) {
      return undefined;
    }
    return this.#inTurn(call, async () => {
      const place = call.placeAnswer(request);
      // The tags are those of the request that is answered: the SDP is the to-tag party's.
      return place?.dialog.signal(toSignal('answer', otherSide(place.side), request));
    });
  }

  /** Undefined: nothing matched. `describe` sees the call before it goes. */
  async delete<T>(
    { callId, fromTag, toTag, branch }: Partial<Parties> & { readonly callId: string },
    describe: (call: Call) => T,
  ): Promise<T | undefined> {
    const call = this.#calls.get(callId);
    if (!call) {
      return undefined;
    }
    return this.#inTurn(call, async () => {
      const description = describe(call);
      if (!call.delete(fromTag, toTag, branch)) {
        return undefined;
      }
      if (call.dialogs.size === 0) {
        this.counts.terminated++;
      }
      return description;
    });
  }

  /** Ends what has been silent, or unanswered, for too long. */
  expire(): void {
    const nowMs = this.clock.monotonicMs();
    for (const call of this.#calls.values()) {
      for (const dialog of call.dialogs) {
        const reason = dialog.expiry(nowMs);
        if (reason === undefined) {
          continue;
        }
        if (reason === 'silent') {
          this.counts.silentTimeouts++;
        } else {
          this.counts.offerTimeouts++;
        }
        this.log.info({ callId: call.id, reason }, 'call ended by itself');
        call.end(dialog);
      }
      this.#forgetIfEmpty(call);
    }
    this.#report();
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls.values()) {
      call.close();
    }
    this.#calls.clear();
    this.#report();
  }

  #newCall(callId: string): Call {
    if (this.#closed) {
      throw new RefusedError(stopping);
    }
    if (this.#calls.size >= this.limits.maxSessions) {
      this.counts.rejected++;
      throw new SessionLimitError('Parallel session limit reached');
    }
    const call = new Call(callId, this.sockets, this.limits, this.clock);
    this.#calls.set(callId, call);
    return call;
  }

  /** Opening sockets takes a moment, in which a second request about the same call must wait. */
  #inTurn<T>(call: Call, task: () => Promise<T>): Promise<T> {
    const turn = call.queue.then(async () => {
      try {
        return await task();
      } finally {
        call.busy--;
        this.#forgetIfEmpty(call);
        this.#report();
      }
    });
    call.busy++;
    call.queue = turn.catch(() => undefined);
    return turn;
  }

  #forgetIfEmpty(call: Call): void {
    if (call.dialogs.size > 0 || call.busy > 0 || this.#calls.get(call.id) !== call) {
      return;
    }
    this.#calls.delete(call.id);
  }

  #report(): void {
    if (this.#calls.size === this.#reported) {
      return;
    }
    this.#reported = this.#calls.size;
    for (const listener of this.#listeners) {
      listener(this.#reported);
    }
  }
}

function toSignal(kind: Signal['kind'], side: Signal['side'], request: MediaRequest): Signal {
  const { sdp, replaceOrigin, source } = request;
  return { kind, side, sdp, replaceOrigin, source };
}
