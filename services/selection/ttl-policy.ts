import { type Binding, leaseSeconds, noticeLimits, remainingSeconds } from '../domain/binding.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { SelectRequest } from './requests.js';

export interface SelectorSettings {
  /** TTL of a call that was not answered yet, s. */
  readonly setupTtlSeconds: number;
  /** TTL of a call in progress, s. */
  readonly callTtlSeconds: number;
  /** How long a released binding is kept, s. */
  readonly lingerSeconds: number;
}

/** Where the registered relays can be looked up. */
export interface RelayLookup {
  get(set: string, id: string): RegisteredRelay | undefined;
}

/** What a binding has to be like for a use of it to need no write. */
export class TtlPolicy {
  constructor(
    readonly settings: SelectorSettings,
    private readonly relays: RelayLookup,
    private readonly clock: Clock,
  ) {}

  /** Its relay, if that is registered in the instance that carries the call: another instance is another relay. */
  relayOf({ call, relayId, instance }: Binding): RegisteredRelay | undefined {
    const registered = this.relays.get(call.set, relayId);
    return registered?.relay.instance === instance ? registered : undefined;
  }

  /** What is registered under the name of its relay in another instance. */
  successorOf({ call, relayId, instance }: Binding): RegisteredRelay | undefined {
    const registered = this.relays.get(call.set, relayId);
    return registered?.relay.instance === instance ? undefined : registered;
  }

  /** The binding is already what this request would make of it. */
  suffices(binding: Binding, request: SelectRequest): boolean {
    return (
      this.stateAfter(binding, request) === binding.state &&
      this.livesFor(binding, this.wantedTtl(binding, request)) &&
      hasNotices(binding, request)
    );
  }

  /** The state of the call once this request has used it. */
  stateAfter(
    { state, beginning }: Binding,
    { inDialog = false, requestId }: SelectRequest,
  ): Binding['state'] {
    if (state === 'released') {
      // A late retry of the request that began the call does not begin it again.
      return inDialog || requestId === beginning ? 'released' : 'setup';
    }
    return inDialog ? 'answered' : state;
  }

  /** Use does not prolong a released binding: it is as it should be. */
  livesFor(binding: Binding, ttlSeconds: number): boolean {
    return binding.state === 'released' || remainingSeconds(binding, this.clock.wallMs()) >= ttlSeconds;
  }

  wantedTtl(binding: Binding, request: SelectRequest): number {
    const { setupTtlSeconds, callTtlSeconds } = this.settings;
    // Also of a call that begins again after it was moved.
    const isFirstUse = request.requestId === binding.beginning;
    const wanted =
      request.ttlSeconds ?? (isFirstUse && request.inDialog !== true ? setupTtlSeconds : callTtlSeconds);
    return Math.max(binding.ttlSeconds, wanted);
  }

  lifetimeSeconds({ state, ttlSeconds }: Pick<Binding, 'state' | 'ttlSeconds'>): number {
    return state === 'released' ? this.settings.lingerSeconds : leaseSeconds(ttlSeconds);
  }
}

function hasNotices({ notices: known }: Binding, { notices = [] }: SelectRequest): boolean {
  return notices.every((notice) => notice.length > noticeLimits.length || known.includes(notice));
}
