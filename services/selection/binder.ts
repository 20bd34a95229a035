import type { Binding, StoredBinding } from '../domain/binding.js';
import type { BindingWriter, Tried } from './binding-writer.js';
import type { CachedBindingStore } from './cached-store.js';
import type { BindingRepair } from './carried/binding-repair.js';
import type { ProvisionalBindings } from './outage/provisional-bindings.js';
import { isSought, type SelectRequest } from './requests.js';
import type { Retry } from './retry.js';
import type { TtlPolicy } from './ttl-policy.js';
import { asksAlike, bound, foundOf, isOutage } from './write-result.js';

export interface BinderDeps {
  readonly cachedStore: CachedBindingStore;
  readonly provisional: ProvisionalBindings;
  readonly repair: BindingRepair;
  readonly retry: Retry;
  readonly ttlPolicy: TtlPolicy;
  readonly writer: BindingWriter;
}

/** A call that is being bound. */
interface Underway {
  readonly request: SelectRequest;
  readonly stored: Promise<StoredBinding>;
  readonly tried: Tried;
}

/** Binds calls, or finds where they are bound. Concurrent requests for one call share the work. */
export class Binder {
  readonly #deps: BinderDeps;
  /** By the key of the call. */
  readonly #underWay = new Map<string, Underway>();

  constructor(deps: BinderDeps) {
    this.#deps = deps;
  }

  /**
   * @param fresh the binding, as a read of etcd would find it now
   * @param tried is told the relay that was chosen last, also where this fails
   * @throws HoldfastError `relays-full`, `no-relay`, `unavailable`, `overloaded`
   */
  async bind(request: SelectRequest, fresh?: StoredBinding, tried: Tried = {}): Promise<StoredBinding> {
    const { key } = request.call;
    const underWay = this.#underWay.get(key);
    if (!underWay) {
      const stored = this.#bindAlone(request, fresh, tried);
      this.#underWay.set(key, { request, stored, tried });
      return stored;
    }
    let stored: StoredBinding | undefined;
    try {
      stored = await underWay.stored;
    } catch (error) {
      // No relay for the other request may be no answer to this one.
      if (isOutage(error) || asksAlike(underWay.request, request)) {
        Object.assign(tried, underWay.tried);
        throw error;
      }
    }
    // What another request binds may not live as long as this one asks: then this one has its own turn.
    return stored && this.#isBound(stored.binding, request) ? stored : this.bind(request, stored, tried);
  }

  async #bindAlone(
    request: SelectRequest,
    fresh: StoredBinding | undefined,
    tried: Tried,
  ): Promise<StoredBinding> {
    const { cachedStore, provisional, repair, retry, writer } = this.#deps;
    try {
      const stored = await retry.run<StoredBinding>(fresh && foundOf(fresh), async (seen) => {
        // Read first where the call may be one that relays have to be asked for.
        const isRead = !seen && repair.isSearchedFor(request);
        const found = isRead ? await cachedStore.read(request.call) : seen;
        if (found && !found.binding) {
          await repair.forgetIfEnded(request.call, isSought(request));
        }
        const carrier = found && (await repair.carrierOf(request, found));
        if (carrier) {
          const duringSetup = found.binding !== undefined;
          return repair.adopt(request.call, carrier, request.requestId, { duringSetup });
        }
        if (found?.binding) {
          const goesOn = await repair.goesOn(request, found);
          return writer.bind(goesOn ? { ...request, inDialog: false } : request, found, tried);
        }
        return writer.bind(await this.#preferring(request), found, tried);
      });
      if (request.inDialog && stored.binding.state === 'setup') {
        // It has begun again, and is in progress.
        return await this.#bindAlone(request, stored, tried);
      }
      provisional.resolve(stored);
      return stored;
    } finally {
      this.#underWay.delete(request.call.key);
    }
  }

  /** A call that is to meet another is placed beside it, if its relay takes calls. */
  async #preferring(request: SelectRequest): Promise<SelectRequest> {
    const { withCall, call, constraints } = request;
    if (!withCall) {
      return request;
    }
    const { cachedStore } = this.#deps;
    const other = cachedStore.fresh(withCall) ?? bound(await cachedStore.read(withCall));
    const preferred = other?.binding.call.set === call.set ? other.binding.relayId : undefined;
    return { ...request, constraints: { ...constraints, preferred } };
  }

  #isBound(binding: Binding, request: SelectRequest): boolean {
    const { ttlPolicy } = this.#deps;
    return ttlPolicy.relayOf(binding) !== undefined && ttlPolicy.suffices(binding, request);
  }
}
