import { encodeBody, type NgDictionary, parseMessage } from '../../services/control/ng/message.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { RelayModel } from './model-relays.js';

/** One side of a dialog, as far as the relay has heard of it. */
interface Party {
  /** Undefined until it has answered. */
  tag: string | undefined;
  /** Of the offer that made it. */
  branch: string | undefined;
  /** Those that it talks to, or talked to before they left. */
  readonly peers: Set<Party>;
  /** When it ends, if it was deleted; by the monotonic clock, ms. */
  endsAtMs: number | undefined;
}

interface ModelCall {
  readonly parties: Set<Party>;
  /** When all of it ends, if it was deleted as a whole. */
  endsAtMs: number | undefined;
  /** Of the last offer or answer, ms since 1970. */
  signaledAtMs: number;
}

export interface NgRelayModelOptions {
  /** How long a deleted call is still known, unless its deletion says. */
  readonly deleteDelayMs: number;
}

const unknownCall = { result: 'error', 'error-reason': 'Unknown call-id' };
const deletedNothing = { result: 'ok', warning: "Call-ID not found or tags didn't match" };
const sessionLimit = 'Parallel session limit reached';

/**
 * What rtpengine 10.5 makes of the requests of a SIP proxy: which calls it knows, and how it answers. Nothing of media. A test
 * holds it to a real rtpengine.
 */
export class NgRelayModel implements RelayModel {
  readonly #calls = new Map<string, ModelCall>();
  /** No new calls. */
  isFull = false;
  /** No ports, neither for new calls nor for new parties of a call. */
  isOutOfPorts = false;

  constructor(
    private readonly clock: Clock,
    private readonly options: NgRelayModelOptions,
  ) {}

  get callIds(): string[] {
    this.#expire();
    return [...this.#calls.keys()];
  }

  forgetAll(): void {
    this.#calls.clear();
  }

  answer(body: Buffer): Buffer {
    return encodeBody(this.handle(parseMessage(body).body), 'bencode');
  }

  handle(request: NgDictionary): NgDictionary {
    this.#expire();
    const { command } = request;
    switch (command) {
      case 'ping':
        return { result: 'pong' };
      case 'list':
        return { result: 'ok', calls: this.callIds };
      case 'query':
        return this.#query(String(request['call-id']));
      case 'offer':
        return this.#offer(request);
      case 'answer':
        return this.#answer(request);
      case 'delete':
        return this.#delete(request);
      default:
        return { result: 'error', 'error-reason': 'Unrecognized command' };
    }
  }

  #query(callId: string): NgDictionary {
    const call = this.#calls.get(callId);
    return call ? { result: 'ok', 'last signal': Math.floor(call.signaledAtMs / 1000) } : unknownCall;
  }

  #offer(request: NgDictionary): NgDictionary {
    const { callId, from, to, branch } = namesOf(request);
    const known = this.#calls.get(callId);
    if (!known && this.isFull) {
      const supports = request['supports'];
      return Array.isArray(supports) && supports.includes('load limit')
        ? { result: 'load limit', message: sessionLimit }
        : { result: 'error', 'error-reason': sessionLimit };
    }
    const call = known ?? { parties: new Set(), endsAtMs: undefined, signaledAtMs: 0 };
    const parties = call.parties.size;
    this.#calls.set(callId, call);
    const dialog = dialogOf(call, from ?? '', to, branch);
    if (this.isOutOfPorts && call.parties.size > parties) {
      // It ends the call for which it has none, also one that is in progress.
      this.#calls.delete(callId);
      return { result: 'error', 'error-reason': 'Ran out of ports' };
    }
    this.#revive(call, dialog);
    return { result: 'ok' };
  }

  #answer(request: NgDictionary): NgDictionary {
    const { callId, from, to, branch } = namesOf(request);
    const call = this.#calls.get(callId);
    if (!call) {
      return unknownCall;
    }
    if (to === undefined) {
      return { result: 'error', 'error-reason': 'No to-tag in message' };
    }
    // What answers comes from the party of the to-tag.
    this.#revive(call, dialogOf(call, to, from, branch));
    return { result: 'ok' };
  }

  #delete(request: NgDictionary): NgDictionary {
    const { callId, from, to, branch } = namesOf(request);
    const call = this.#calls.get(callId);
    if (!call) {
      return deletedNothing;
    }
    const asked = request['delete delay'] ?? request['delete-delay'];
    const delayMs = asked === undefined ? this.options.deleteDelayMs : Number(asked) * 1000;
    const endsAtMs = this.clock.monotonicMs() + delayMs;
    if (from === undefined) {
      call.endsAtMs = endsAtMs;
    } else {
      const party = partyToDelete(call, from, to, branch);
      if (!party) {
        return deletedNothing;
      }
      for (const each of leavingWith(call, party)) {
        each.endsAtMs = endsAtMs;
      }
    }
    this.#expire();
    return { result: 'ok' };
  }

  /** Who signals again has not left, nor has the other side, nor has anybody that either of them talks to. */
  #revive(call: ModelCall, dialog: readonly [Party, Party]): void {
    call.endsAtMs = undefined;
    call.signaledAtMs = this.clock.wallMs();
    for (const party of dialog.flatMap((each) => [each, ...each.peers])) {
      party.endsAtMs = undefined;
    }
  }

  /** Ends what was deleted a delay ago. */
  #expire(): void {
    const nowMs = this.clock.monotonicMs();
    const isOver = ({ endsAtMs }: Party | ModelCall) => endsAtMs !== undefined && endsAtMs <= nowMs;
    for (const [callId, call] of this.#calls) {
      for (const party of call.parties) {
        if (isOver(party)) {
          call.parties.delete(party);
        }
      }
      if (isOver(call) || call.parties.size === 0) {
        this.#calls.delete(callId);
      }
    }
  }
}

function namesOf(request: NgDictionary) {
  const name = (key: string) => (request[key] === undefined ? undefined : String(request[key]));
  return {
    callId: String(request['call-id']),
    from: name('from-tag'),
    to: name('to-tag'),
    branch: name('via-branch'),
  };
}

const byTag = ({ parties }: ModelCall, tag: string | undefined) =>
  tag === undefined ? undefined : [...parties].find((party) => party.tag === tag);
const byBranch = ({ parties }: ModelCall, branch: string | undefined) =>
  branch === undefined ? undefined : [...parties].findLast((party) => party.branch === branch);

/** The two sides that an offer or answer is between, made where they are new. */
function dialogOf(
  call: ModelCall,
  from: string,
  to: string | undefined,
  branch: string | undefined,
): readonly [Party, Party] {
  const other = byTag(call, to);
  if (!other) {
    return newDialog(call, from, to, branch);
  }
  const known = byTag(call, from);
  const half = [...other.peers].find((peer) => peer.tag === undefined);
  const own = known ?? byBranch(call, branch) ?? half ?? addParty(call);
  own.tag = from;
  link(own, other);
  return [own, other];
}

function newDialog(
  call: ModelCall,
  from: string,
  to: string | undefined,
  branch: string | undefined,
): readonly [Party, Party] {
  const own = byTag(call, from);
  const peers = [...(own?.peers ?? [])];
  // A party whose branch was never named is taken for that of any branch.
  const known =
    branch === undefined
      ? peers[0]
      : (peers.find((peer) => peer.branch === branch) ?? peers.find((peer) => peer.branch === undefined));
  if (own && known && (known.tag === undefined || to === undefined)) {
    known.tag ??= to;
    known.branch ??= branch;
    return [own, known];
  }
  const one = own ?? addParty(call, from);
  const other = addParty(call, to, branch);
  link(one, other);
  return [one, other];
}

function addParty({ parties }: ModelCall, tag?: string, branch?: string): Party {
  const party: Party = { tag, branch, peers: new Set(), endsAtMs: undefined };
  parties.add(party);
  return party;
}

function link(one: Party, other: Party): void {
  one.peers.add(other);
  other.peers.add(one);
}

/**
 * Without a to-tag the party of the branch, if that is known; else that of the to-tag, or if there is none of the from-tag;
 * failing that the branch; and a to-tag that nobody has means who has not answered, if the call was never forked.
 */
function partyToDelete(
  call: ModelCall,
  from: string,
  to: string | undefined,
  branch: string | undefined,
): Party | undefined {
  const ofBranch = byBranch(call, branch);
  const ofTag = byTag(call, to ?? from);
  if (to === undefined && ofBranch) {
    return ofBranch;
  }
  if (ofTag ?? ofBranch) {
    return ofTag ?? ofBranch;
  }
  const caller = byTag(call, from);
  const [peer, ...others] = caller?.peers ?? [];
  return peer && others.length === 0 && peer.tag === undefined ? caller : undefined;
}

/** The party, and all whom nobody is left to talk to. */
function leavingWith(call: ModelCall, party: Party, leaving = new Set<Party>()): Set<Party> {
  leaving.add(party);
  const isThere = (each: Party) => call.parties.has(each) && !leaving.has(each);
  const stays = (each: Party) => isThere(each) && each.endsAtMs === undefined;
  for (const peer of party.peers) {
    if (isThere(peer) && ![...peer.peers].some(stays)) {
      leavingWith(call, peer, leaving);
    }
  }
  return leaving;
}
