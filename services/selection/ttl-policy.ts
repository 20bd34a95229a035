import { type Binding, leaseSeconds, originOf, remainingSeconds } from '../domain/binding.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
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

/** Of a binding, what names the relay and its life. */
export type Carrier = Pick<Binding, 'set' | 'relayId' | 'instance'>;

/** What a binding has to be like for a use of it to need no write. */
export class TtlPolicy {
  constructor(
    readonly settings: SelectorSettings,
    private readonly directory: RelayDirectory,
    private readonly clock: Clock,
  ) {}

  /** Its relay, if that is registered in the life that carries the call: another life of it is another relay. */
  relayOf({ set, relayId, instance }: Carrier): RegisteredRelay | undefined {
    const registered = this.directory.get(set, relayId);
    return registered?.relay.instance === instance ? registered : undefined;
  }

  /** It will live as long as this use asks. */
  suffices(binding: Binding, request: SelectRequest): boolean {
    if (binding.released && request.reopen === true) {
      return false;
    }
    return this.livesFor(binding, this.wantedTtl(binding, request));
  }

  /** Use does not prolong a released binding: it is as it should be. */
  livesFor(binding: Binding, ttlSeconds: number): boolean {
    return binding.released || remainingSeconds(binding, this.clock.wallMs()) >= ttlSeconds;
  }

  wantedTtl(binding: Binding, request: SelectRequest): number {
    const { setupTtlSeconds, callTtlSeconds } = this.settings;
    const isFirstUse = originOf(binding, request.requestId) === 'new';
    const wanted = request.ttlSeconds ?? (isFirstUse ? setupTtlSeconds : callTtlSeconds);
    return Math.max(binding.ttlSeconds, wanted);
  }

  lifetimeSeconds({ released, ttlSeconds }: Binding): number {
    return released ? this.settings.lingerSeconds : leaseSeconds(ttlSeconds);
  }
}
