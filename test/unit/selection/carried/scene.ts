import type { ExecutionContext } from 'ava';
import type { StoredBinding } from '../../../../services/domain/binding.js';
import { type Call, inSet } from '../../../../services/domain/call.js';
import { HoldfastError } from '../../../../services/domain/error.js';
import { Events } from '../../../../services/domain/events.js';
import type { RegisteredRelay } from '../../../../services/domain/relay.js';
import type { QuorumMonitor } from '../../../../services/etcd/quorum-monitor.js';
import { Placement } from '../../../../services/placement/placement.js';
import type {
  BindingStore,
  BindingWrite,
  Found,
  WriteOutcome,
} from '../../../../services/registry/binding-store.js';
import type { RelayDirectory } from '../../../../services/registry/relay-directory.js';
import { BindingCache } from '../../../../services/selection/cache/binding-cache.js';
import { CallFinder } from '../../../../services/selection/carried/call-finder.js';
import { Rebuilder } from '../../../../services/selection/carried/rebuilder.js';
import { RestoredBindings } from '../../../../services/selection/carried/restored-bindings.js';
import { LeaseClock } from '../../../../services/selection/outage/lease-clock.js';
import { Selector } from '../../../../services/selection/selector.js';
import { TtlPolicy } from '../../../../services/selection/ttl-policy.js';
import { ManualClock, turns } from '../../../support/clock.js';
import { FakeInquiry } from '../../../support/fake-inquiry.js';
import { aRelay, defaultSettings } from '../../../support/registry.js';

/** What etcd has of calls, in memory. */
export class FakeStore {
  readonly bindings = new Map<string, StoredBinding>();
  revision = 10;

  async read(call: Call): Promise<Found> {
    const stored = this.bindings.get(call.key);
    const { binding, revision = 0 } = stored ?? {};
    return { call: inSet(call, call.set), binding, revision, hasOthers: false };
  }

  async write({ binding, expected }: BindingWrite): Promise<WriteOutcome> {
    const found = await this.read(binding.call);
    if (found.revision !== expected) {
      return { written: false, found, guardsHeld: true };
    }
    return { written: true, stored: this.put(binding) };
  }

  /** Also as another replica would do it. */
  put(binding: StoredBinding['binding']): StoredBinding {
    const stored = { binding, revision: ++this.revision };
    this.bindings.set(binding.call.key, stored);
    return stored;
  }

  async *list(): AsyncGenerator<StoredBinding> {
    yield* [...this.bindings.values()];
  }
}

/** A replica that rebuilds its bindings, with relays and an etcd that a test commands. */
export function rebuildScene(
  t: ExecutionContext,
  ids: readonly string[] = ['r1', 'r2', 'r3'],
  { cacheEntries = 1000 } = {},
) {
  const clock = new ManualClock();
  const events = new Events();
  const inquiry = new FakeInquiry();
  const store = new FakeStore();
  const relays = ids.map((id): RegisteredRelay => ({ relay: aRelay({ id }), revision: 1 }));
  const placement = new Placement('first-available');
  for (const relay of relays) {
    placement.put(relay);
  }
  const directory = {
    live: true,
    get: (_set: string, id: string) => relays.find(({ relay }) => relay.id === id),
    list: () => relays,
    sets: () => ['default'],
    isSuspect: () => false,
    versionOf: () => ({ revision: 1, lease: '7' }),
    refresh: async () => {},
  } as unknown as RelayDirectory;
  const leaseClock = new LeaseClock(clock);
  const cache = new BindingCache({ clock, leaseClock }, { capacity: cacheEntries, trustMs: 24_000 });
  const finder = new CallFinder({ inquiry, relays: directory, events, clock });
  const ttlPolicy = new TtlPolicy(defaultSettings, directory, clock);
  const restored = new RestoredBindings({ inquiry, directory, ttlPolicy, clock });
  const quorum = {
    lost: undefined as HoldfastError | undefined,
    async ask(_: string, request: () => unknown) {
      if (this.lost) {
        throw this.lost;
      }
      return request();
    },
  };
  const deps = {
    cache,
    clock,
    directory,
    events,
    finder,
    inquiry,
    placement,
    restored,
    ttlPolicy,
    hearsMoves: () => true,
    quorum: quorum as unknown as QuorumMonitor,
    store: store as unknown as BindingStore,
  };
  const selector = new Selector(deps, {
    ...defaultSettings,
    withoutQuorum: 'available',
    provisionalEntries: 100,
  });
  const rebuilder = new Rebuilder({ ...deps, repair: selector.repair });
  t.teardown(async () => {
    const stopped = rebuilder.stop();
    await clock.pass(1000);
    await stopped;
  });
  return {
    cache,
    clock,
    deps,
    inquiry,
    relays,
    selector,
    store,
    /** etcd is out of reach for so long. */
    during: async (outage: () => Promise<void>) => {
      quorum.lost = new HoldfastError('unavailable', 'etcd does not answer');
      await outage();
      quorum.lost = undefined;
    },
    /** etcd has another history, of which it has what was written up to this revision. */
    replace: (revision = 0) => {
      const loss = { kind: 'replaced', reason: 'a test', revision } as const;
      selector.beginHistory(loss);
      void rebuilder.rebuild();
    },
    pass: async (ms: number) => {
      await turns();
      await clock.pass(ms);
    },
  };
}
