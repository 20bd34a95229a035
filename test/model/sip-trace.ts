import fc from 'fast-check';

/** What SIP proxies make of a call, and what they ask of a media relay meanwhile. */

/** A request to a media relay. Tags and branch are named as Kamailio's rtpengine module names them. */
export interface MediaRequest {
  readonly command: 'offer' | 'answer' | 'delete';
  readonly from: string;
  readonly to: string | undefined;
  readonly branch: string | undefined;
  /** It belongs to a dialog of which the relay has accepted an answer. */
  readonly inDialog: boolean;
  /** Of a delete: no other branch of the call is there, or may answer yet. */
  readonly isLast: boolean;
}

/** How a caller's proxies behave. */
export interface SipCallOptions {
  /** Whether offers carry the branch, which is a setting of the proxy. */
  readonly namesBranches: boolean;
  /**
   * Which branches there may be at a time: any, those of one INVITE with SDP, or no more than one. But for `any`, no offer of an
   * INVITE is repeated, which rtpproxy's gateway takes for another branch, and no call begins again with a late offer, which is told
   * from one in its dialog by nothing but what is known of the call.
   */
  readonly forks: 'any' | 'with SDP' | 'none';
}

/** What happens in SIP. Where it cannot happen to the call as it is, nothing does. */
export interface SipEvent {
  readonly happens: /** An INVITE along a branch of its own: the first, a fork, hunting, or a retry after 401, 407, 422 or 503. */
    | 'invite'
    /** An INVITE without SDP. */
    | 'late invite'
    /** 183 with SDP. */
    | 'progress'
    /** 200; of a late offer the ACK too. */
    | 'accept'
    /** A final response of 300 or more, or CANCEL and its 487. */
    | 'reject'
    /** The caller has hung up before anybody answered. */
    | 'cancel'
    /** A re-INVITE or UPDATE: hold, a new address. In glare its answer never comes. */
    | 'reinvite'
    /** The 200 to it. */
    | 'reanswer'
    | 'bye'
    /** The last request once more, by a proxy that keeps no transactions. */
    | 'again';
  /** Which of the branches. */
  readonly branch: number;
  readonly by: 'caller' | 'callee';
  /** Whether the proxy names the to-tag and the branch where it has a choice. */
  readonly names: { readonly to: boolean; readonly branch: boolean };
}

interface Branch {
  readonly via: string;
  readonly tag: string;
  readonly isLate: boolean;
  state: 'offered' | 'early' | 'confirmed' | 'ended';
  /** The relay has accepted its answer. */
  isAnswered: boolean;
}

const caller = 'caller';

/** One call as the proxies on its way see it. */
export class SipCall {
  readonly #branches: Branch[] = [];
  #last: readonly MediaRequest[] = [];
  /** Who has sent a re-INVITE that is not answered. */
  #reinvite: { readonly branch: Branch; readonly from: string; readonly to: string } | undefined;

  constructor(private readonly options: SipCallOptions) {}

  /** What proxies ask of the relay because of this, in order. */
  after(event: SipEvent): readonly MediaRequest[] {
    const requests = event.happens === 'again' ? this.#repeated : this.#requests(event);
    this.#last = requests;
    return requests;
  }

  /** The relay has done what it was asked. */
  noteDone({ command, from, to }: MediaRequest): void {
    const branch = this.#branches.find(({ tag }) => tag === from || tag === to);
    if (branch && command === 'answer') {
      branch.isAnswered = true;
    }
  }

  #requests(event: SipEvent): MediaRequest[] {
    const { happens } = event;
    switch (happens) {
      case 'invite':
      case 'late invite':
        return this.#invite(happens === 'late invite');
      case 'cancel': {
        const waiting = this.#branches.filter(({ state }) => state === 'offered' || state === 'early');
        return waiting.flatMap((branch) => this.#reject(branch, event));
      }
      case 'reanswer':
        return this.#reanswer();
      default: {
        const branch = this.#branches[event.branch % Math.max(1, this.#branches.length)];
        return branch ? this.#ofBranch(branch, event) : [];
      }
    }
  }

  get #repeated(): readonly MediaRequest[] {
    const { forks } = this.options;
    return forks === 'any' ? this.#last : this.#last.filter(({ to }) => to !== undefined);
  }

  #invite(isLate: boolean): MediaRequest[] {
    const { forks } = this.options;
    const others = this.#branches.filter(({ state }) => state !== 'ended');
    const isFork = forks === 'with SDP' && others.every((other) => !other.isLate);
    const isAlone = isLate ? this.#branches.length === 0 : others.length === 0 || isFork;
    if (forks !== 'any' && !isAlone) {
      return [];
    }
    const number = this.#branches.length + 1;
    const names = { via: `z9hG4bK${number}`, tag: `callee-${number}` };
    const branch: Branch = { ...names, isLate, state: 'offered', isAnswered: false };
    this.#branches.push(branch);
    return isLate ? [] : [this.#request('offer', branch, caller)];
  }

  #ofBranch(branch: Branch, event: SipEvent): MediaRequest[] {
    const { happens, by } = event;
    const { state, tag } = branch;
    const isWaiting = state === 'offered' || state === 'early';
    const [from, to] = by === 'caller' ? [caller, tag] : [tag, caller];
    if (happens === 'progress' && isWaiting && !branch.isLate) {
      branch.state = 'early';
      return this.#accepted(branch);
    }
    if (happens === 'accept' && isWaiting) {
      branch.state = 'confirmed';
      return this.#accepted(branch);
    }
    if (happens === 'reject' && isWaiting) {
      return this.#reject(branch, event);
    }
    if (happens === 'reinvite' && state === 'confirmed') {
      this.#reinvite = { branch, from, to };
      return [this.#request('offer', branch, from, to)];
    }
    if (happens === 'bye' && state === 'confirmed') {
      branch.state = 'ended';
      return [this.#delete(branch, from, event.names.to ? to : undefined, event)];
    }
    return [];
  }

  /** The offer comes in the 200, the answer in the ACK: both from the callee's tag to the caller's. */
  #accepted(branch: Branch): MediaRequest[] {
    return branch.isLate
      ? [
          this.#request('offer', branch, branch.tag, caller),
          this.#request('answer', branch, branch.tag, caller),
        ]
      : [this.#request('answer', branch, caller, branch.tag)];
  }

  #reject(branch: Branch, event: SipEvent): MediaRequest[] {
    branch.state = 'ended';
    // Of a late offer no relay has heard yet.
    return branch.isLate
      ? []
      : [this.#delete(branch, caller, event.names.to ? branch.tag : undefined, event)];
  }

  #reanswer(): MediaRequest[] {
    const reinvite = this.#reinvite;
    this.#reinvite = undefined;
    if (reinvite?.branch.state !== 'confirmed') {
      return [];
    }
    const { branch, from, to } = reinvite;
    return [this.#request('answer', branch, from, to)];
  }

  #delete(branch: Branch, from: string, to: string | undefined, { names }: SipEvent): MediaRequest {
    const via = names.branch ? branch.via : undefined;
    const isLast = this.#branches.every((each) => each === branch || each.state === 'ended');
    return { ...this.#request('delete', branch, from, to), branch: via, isLast };
  }

  #request(command: MediaRequest['command'], branch: Branch, from: string, to?: string): MediaRequest {
    const via = this.options.namesBranches ? branch.via : undefined;
    return { command, from, to, branch: via, inDialog: branch.isAnswered, isLast: false };
  }
}

/** Events as calls see them, the usual ones more often. */
export const sipEvent: fc.Arbitrary<SipEvent> = fc.record({
  happens: fc.oneof(
    { weight: 5, arbitrary: fc.constant('invite' as const) },
    { weight: 1, arbitrary: fc.constant('late invite' as const) },
    { weight: 2, arbitrary: fc.constant('progress' as const) },
    { weight: 6, arbitrary: fc.constant('accept' as const) },
    { weight: 2, arbitrary: fc.constant('reject' as const) },
    { weight: 1, arbitrary: fc.constant('cancel' as const) },
    { weight: 2, arbitrary: fc.constant('reinvite' as const) },
    { weight: 2, arbitrary: fc.constant('reanswer' as const) },
    { weight: 5, arbitrary: fc.constant('bye' as const) },
    { weight: 1, arbitrary: fc.constant('again' as const) },
  ),
  branch: fc.nat(2),
  by: fc.constantFrom('caller' as const, 'callee' as const),
  names: fc.record({ to: fc.boolean(), branch: fc.boolean() }),
});
