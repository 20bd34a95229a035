import { otherSide, type Side } from './side.js';

/** What a request wants of RTCP on the port of RTP (RFC 5761), beyond that the parties agree on it. */
export interface MuxPolicy {
  /** The other party is offered it, whatever the offer says. */
  readonly offer: boolean;
  /** As `offer`, and there is no other port for RTCP. */
  readonly require: boolean;
  /** The party that offers it gets it, whatever the other one answers. */
  readonly accept: boolean;
  /** As `accept`, and the other party is not offered it, unless `offer` says so. */
  readonly demux: boolean;
  /** The party that offers it does not get it. */
  readonly reject: boolean;
}

export const noMuxPolicy: MuxPolicy = {
  offer: false,
  require: false,
  accept: false,
  demux: false,
  reject: false,
};

export interface MuxState {
  readonly sides: [boolean, boolean];
  /** Of an offer that is not answered yet. */
  readonly pending?: PendingOffer | undefined;
}

interface PendingOffer {
  readonly side: Side;
  /** What the offering party gets, as far as the answer does not matter. */
  readonly granted: boolean | null;
  /** The other party was offered it. */
  readonly told: boolean;
}

/** With which parties of a media RTCP shares the port of RTP. Each side is negotiated for itself. */
export class RtcpMux {
  #state: MuxState = { sides: [false, false] };

  /** By side. Both, or none: then packets pass as they come. */
  get sides(): MuxState['sides'] {
    return this.#state.sides;
  }

  get state(): MuxState {
    return this.#state;
  }

  restore(state: MuxState): void {
    this.#state = state;
  }

  /** @returns whether the other party is to be offered it */
  offer(side: Side, offered: boolean, policy: MuxPolicy): boolean {
    const { offer, require, accept, demux, reject } = policy;
    const asked = offer || require;
    const told = asked || (offered && !demux);
    const always = accept || (demux && !asked);
    const granted = !offered || reject ? false : always ? true : null;
    this.#state = { sides: this.sides, pending: { side, granted, told } };
    return told;
  }

  /** @returns whether the party that offered is to be told that it is agreed on */
  answer(side: Side, answered: boolean): boolean {
    const { pending } = this.#state;
    if (!pending || pending.side !== otherSide(side)) {
      return answered;
    }
    const own = pending.told && answered;
    const offerers = pending.granted ?? own;
    this.#state = { sides: side === 0 ? [own, offerers] : [offerers, own] };
    return offerers;
  }
}
