import { type Clock, inTime } from '../../services/runtime/clock.js';
import type { Logger } from '../../services/runtime/log.js';
import { Subscribers } from '../../services/runtime/subscribers.js';
import { Call, type CallLimits, type Parties } from './call.js';
import type { Deadline, Dialog, Key, Signal, WantedInterfaces } from './dialog.js';
import type { LocalPorts, MediaEndpoint } from './endpoint.js';
import { OutOfPortsError, RefusedError, SessionLimitError } from './errors.js';
import type { IcePolicy } from './ice/credentials.js';
import type { Leg } from './leg.js';
import type { MuxPolicy } from './rtcp-mux.js';
import { otherSide } from './side.js';
import type { MediaSockets } from './sockets.js';
import type { CallState } from './state/call-state.js';
import type { Journal } from './state/journal.js';

export interface SessionLimits extends CallLimits {
  /** Calls that are not deleted. */
  readonly maxSessions: number;
  /** How long a deleted call is kept if its deletion does not say. */
  readonly deleteDelayMs: number;
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
  /** One entry per media; undefined where it is rejected, switched off, or not relayed. */
  readonly media: readonly (MediaEndpoint | undefined)[];
  readonly interfaces?: WantedInterfaces | undefined;
  readonly rtcpMux?: MuxPolicy | undefined;
  readonly ice?: IcePolicy | undefined;
}

export interface DeleteRequest extends Partial<Parties> {
  readonly callId: string;
  readonly delayMs?: number | undefined;
}

/** One that is gone, and what is left of its call. */
export interface EndedDialog {
  readonly call: Call;
  readonly dialog: Dialog;
  readonly reason: Deadline['reason'];
}

/** A request waits no longer for its call to be written. */
const maxSaveMs = 200;
/** Nor for the kernel to let go of media that go elsewhere from now on. */
const maxTakeBackMs = 100;
const stopping = 'The relay is stopping';

/** The relay's calls. Requests about one call are carried out one after the other. */
export class Sessions {
  readonly counts: Counts = { managed: 0, rejected: 0, silentTimeouts: 0, offerTimeouts: 0, terminated: 0 };
  readonly ended = new Subscribers<EndedDialog>();
  readonly keys = new Subscribers<Key & { readonly call: Call }>();
  readonly #calls = new Map<string, Call>();
  /** Deleted calls, the one first that was deleted first. */
  readonly #deleted = new Set<Call>();
  #closed = false;
  /** Where calls are written for the next process; undefined if they end with this one. */
  journal: Pick<Journal, 'note' | 'saved'> | undefined;

  constructor(
    private readonly sockets: MediaSockets,
    private readonly limits: SessionLimits,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** Goes on with calls of another process, but for those whose ports are taken. */
  async restore(states: Iterable<CallState>): Promise<void> {
    for (const state of states) {
      const call = this.#addCall(state.id);
      try {
        await call.restore(state);
      } catch (error) {
        this.log.warn({ callId: state.id, reason: (error as Error).message }, 'call could not be restored');
        call.close();
      }
      this.#review(call);
    }
    this.counts.managed = this.#calls.size;
  }

  *states(): Generator<CallState> {
    for (const id of this.#calls.keys()) {
      const state = this.#stateOf(id);
      if (state) {
        yield state;
      }
    }
  }

  *legs(): Generator<Leg> {
    for (const call of this.#calls.values()) {
      for (const dialog of call.dialogs) {
        yield* dialog.legs();
      }
    }
  }

  /** All calls that are known, the deleted ones included. */
  get size(): number {
    return this.#calls.size;
  }

  /** Calls that nobody has deleted. */
  get active(): number {
    return this.#calls.size - this.#deleted.size;
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

  /**
   * A party offers media: the ports that the other party is to be told, one entry per media.
   * @throws SessionLimitError, OutOfPortsError, RefusedError; then the call is as it was
   */
  async offer(request: MediaRequest): Promise<(LocalPorts | undefined)[]> {
    const call = this.#calls.get(request.callId) ?? this.#newCall(request.callId);
    return this.#inTurn(call, async () => {
      const ports = await this.#signal('offer', call, request);
      if (!call.established) {
        this.counts.managed++;
      }
      call.established = true;
      return ports as (LocalPorts | undefined)[];
    });
  }

  /**
   * The party of the to-tag answers what the other one offered; undefined if there is no such call, or nobody of it offered
   * anything. @throws OutOfPortsError, RefusedError; then the call is as it was
   */
  async answer(request: MediaRequest): Promise<(LocalPorts | undefined)[] | undefined> {
    const call = this.#calls.get(request.callId);
    return call && this.#inTurn(call, () => this.#signal('answer', call, request));
  }

  /**
   * Ends what the named party takes part in: at once, or after a delay, in which media still pass and a new offer or answer
   * takes the deletion back. Undefined: nothing matched. `describe` sees the call before it goes.
   */
  async delete<T>(request: DeleteRequest, describe: (call: Call) => T): Promise<T | undefined> {
    const call = this.#calls.get(request.callId);
    if (!call) {
      return undefined;
    }
    return this.#inTurn(call, async () => {
      const dialogs = call.partyToDelete(request);
      if (dialogs.length === 0) {
        return undefined;
      }
      const description = describe(call);
      const delayMs = request.delayMs ?? this.limits.deleteDelayMs;
      const atMs = this.clock.monotonicMs() + delayMs;
      for (const dialog of dialogs) {
        dialog.deletion = { atMs, ofCall: request.fromTag === undefined };
        if (delayMs === 0) {
          this.#end(call, dialog, 'deleted');
        }
      }
      return description;
    });
  }

  /** Counts all packets of the call up to now, for a report about it. */
  async count(callId: string): Promise<void> {
    const call = this.#calls.get(callId);
    const legs = [...(call?.dialogs ?? [])].flatMap((dialog) => [...dialog.offloadedLegs()]);
    if (legs.length > 0) {
      await this.sockets.offload?.count(legs);
    }
  }

  /** Ends at once what is chosen of a call, if there is such a call. `choose` sees it when its turn has come. */
  async end(callId: string, choose: (call: Call) => Iterable<Dialog>): Promise<void> {
    await this.change(callId, (call) => {
      for (const dialog of choose(call)) {
        this.#end(call, dialog, 'deleted');
      }
    });
  }

  /** Changes a call when its turn has come; undefined if there is no such call, else what `task` returns. @throws what it throws */
  async change<T>(callId: string, task: (call: Call) => T | Promise<T>): Promise<T | undefined> {
    const call = this.#calls.get(callId);
    return call && this.#inTurn(call, async () => task(call));
  }

  /** Ends what was deleted some time ago, and what has been silent or unanswered for too long. */
  expire(): void {
    const nowMs = this.clock.monotonicMs();
    for (const call of this.#calls.values()) {
      for (const dialog of call.dialogs) {
        dialog.reviewConsent();
        const { atMs, reason } = dialog.deadline;
        if ((reason === 'silent' ? this.#heardUntilMs(dialog, nowMs) : nowMs) >= atMs) {
          this.#end(call, dialog, reason);
        }
      }
      this.#review(call);
    }
  }

  close(): void {
    this.#closed = true;
    for (const call of this.#calls.values()) {
      call.close();
    }
    this.#calls.clear();
    this.#deleted.clear();
  }

  /** Until when it is known whether packets of the dialog came: what passes elsewhere is counted now and then. */
  #heardUntilMs(dialog: Dialog, nowMs: number): number {
    const { offload } = this.sockets;
    const isOffloaded = offload !== undefined && !dialog.offloadedLegs().next().done;
    return isOffloaded ? Math.min(nowMs, offload.countedUntilMs) : nowMs;
  }

  async #signal(
    kind: Signal['kind'],
    call: Call,
    request: MediaRequest,
  ): Promise<(LocalPorts | undefined)[] | undefined> {
    // Stopped while this request waited for its turn.
    if (this.#closed) {
      throw new RefusedError(stopping);
    }
    const before = new Set(call.dialogs);
    try {
      return await this.#withRoom(call, async () => {
        const place = await (kind === 'offer' ? call.placeOffer(request) : call.placeAnswer(request));
        if (!place) {
          return undefined;
        }
        // The tags are those of the SIP request: what answers it comes from the party of the to-tag.
        const side = kind === 'offer' ? place.side : otherSide(place.side);
        const { media, interfaces, rtcpMux, ice } = request;
        const ports = await place.dialog.signal({ kind, side, media, interfaces, rtcpMux, ice });
        call.keep(request);
        return ports;
      });
    } catch (error) {
      for (const dialog of call.dialogs) {
        if (!before.has(dialog)) {
          call.end(dialog);
        }
      }
      throw error;
    }
  }

  /** Calls that are deleted and only linger give their ports to calls that go on. */
  async #withRoom<T>(call: Call, task: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await task();
      } catch (error) {
        if (!(error instanceof OutOfPortsError && this.#endOldestDeleted(call))) {
          throw error;
        }
      }
    }
  }

  #newCall(callId: string): Call {
    if (this.#closed) {
      throw new RefusedError(stopping);
    }
    if (this.active >= this.limits.maxSessions) {
      this.counts.rejected++;
      throw new SessionLimitError();
    }
    return this.#addCall(callId);
  }

  #addCall(callId: string): Call {
    const call = new Call(callId, this.sockets, this.limits, this.clock);
    call.onChange = () => this.#note(callId);
    call.onKey = (key) => this.keys.tell({ ...key, call });
    this.#calls.set(callId, call);
    return call;
  }

  #note(callId: string): void {
    this.journal?.note(callId, () => this.#stateOf(callId));
  }

  #stateOf(callId: string): CallState | undefined {
    const call = this.#calls.get(callId);
    return call && call.dialogs.size > 0 ? call.state : undefined;
  }

  /** Opening sockets takes a moment, in which a second request about the same call must wait. */
  #inTurn<T>(call: Call, task: () => Promise<T>): Promise<T> {
    const turn = call.queue.then(async () => {
      try {
        return await task();
      } finally {
        call.busy--;
        this.#review(call);
        await Promise.all([this.#save(call), this.#takeBack()]);
      }
    });
    call.busy++;
    call.queue = turn.catch(() => undefined);
    return turn;
  }

  async #save(call: Call): Promise<void> {
    if (this.journal) {
      this.#note(call.id);
      await inTime(this.clock, maxSaveMs, this.journal.saved(), undefined);
    }
  }

  /** Whoever hears the answer relies on it: nothing goes to where a party was. */
  async #takeBack(): Promise<void> {
    const takenBack = this.sockets.offload?.takenBack();
    if (takenBack) {
      await inTime(this.clock, maxTakeBackMs, takenBack, undefined);
    }
  }

  #end(call: Call, dialog: Dialog, reason: Deadline['reason']): void {
    call.end(dialog);
    this.#note(call.id);
    if (reason === 'silent') {
      this.counts.silentTimeouts++;
    } else if (reason === 'unanswered') {
      this.counts.offerTimeouts++;
    } else if (call.dialogs.size === 0) {
      this.counts.terminated++;
    }
    if (reason !== 'deleted') {
      this.log.info({ callId: call.id, reason }, 'call timed out');
    }
    this.ended.tell({ call, dialog, reason });
  }

  /** Books the call where it belongs: among those that go on, among the deleted ones, or nowhere. */
  #review(call: Call): void {
    if (call.busy === 0 && call.dialogs.size === 0) {
      this.#calls.delete(call.id);
    }
    if (this.#calls.get(call.id) !== call || !call.deleted) {
      this.#deleted.delete(call);
      return;
    }
    this.#deleted.add(call);
    if (this.#deleted.size > this.limits.maxSessions) {
      this.#endOldestDeleted(call);
    }
  }

  /** False if there is none to end. */
  #endOldestDeleted(except: Call): boolean {
    for (const call of this.#deleted) {
      if (call === except || call.busy > 0) {
        continue;
      }
      for (const dialog of call.dialogs) {
        this.#end(call, dialog, 'deleted');
      }
      this.#review(call);
      return true;
    }
    return false;
  }
}
