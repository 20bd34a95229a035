import type {
  Etcd3,
  IDeleteRangeRequest,
  IEvent,
  IPutRequest,
  IRangeRequest,
  ITxnRequest,
  IWatchResponse,
} from 'etcd3';
import fc from 'fast-check';
import { connect, Inbox, startEmbeddedEtcd, startRealEtcd } from '../../support/etcd.js';
import { holds } from '../../support/property.js';
import { testWith } from '../../support/requirement.js';

/**
 * The same random requests, one after the other, to the embedded and to the real etcd: every reply must be equal.
 * Few keys, values and leases, so that the requests meet.
 */

const keys = ['', '\0', 'a', 'a\0', 'b', 'c', 'd', '\xff'];
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const key = fc.constantFrom(...keys.slice(1), 'a', 'b', 'c').map(bytes);
const rareEmptyKey = fc.oneof(
  { weight: 40, arbitrary: key },
  { weight: 1, arbitrary: fc.constant(bytes('')) },
);
const closedEnd = fc.constantFrom('', '', '', 'b', 'd', 'zz').map(bytes);
const anyEnd = fc.oneof(closedEnd, fc.constant(bytes('\0')));
const value = fc.constantFrom('', '1', '2', '\xff').map(bytes);
const smallNumber = fc.integer({ min: -1, max: 4 });

/** Counted from the revision that the sequence begins with; 0 and negative numbers stay what they are. */
interface Relative {
  readonly offset: number;
}
const revision = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constant(-3) },
  { weight: 5, arbitrary: fc.integer({ min: -1, max: 20 }).map((offset): Relative => ({ offset })) },
);
/** Which of the sequence's leases; 0 is none. */
interface LeaseSlot {
  readonly lease: number;
}
const lease = fc.constantFrom(0, 0, 1, 2, 3).map((slot): LeaseSlot => ({ lease: slot }));
const realLease = fc.constantFrom(1, 2, 3).map((slot): LeaseSlot => ({ lease: slot }));

const range = fc.record(
  {
    key: rareEmptyKey,
    range_end: anyEnd,
    limit: fc.integer({ min: -1, max: 3 }),
    revision,
    sort_order: fc.constantFrom('None', 'Ascend', 'Descend'),
    sort_target: fc.constantFrom('Key', 'Version', 'Create', 'Mod', 'Value'),
    keys_only: fc.boolean(),
    count_only: fc.boolean(),
    min_mod_revision: revision,
    max_mod_revision: revision,
    min_create_revision: revision,
    max_create_revision: revision,
  },
  { requiredKeys: ['key'] },
);
const plainPut = fc.record(
  { key: rareEmptyKey, value, lease, prev_kv: fc.boolean() },
  { requiredKeys: ['key', 'value'] },
);
const put = fc.oneof(
  { weight: 4, arbitrary: plainPut },
  {
    weight: 1,
    arbitrary: fc.record(
      { key, value, lease, ignore_value: fc.boolean(), ignore_lease: fc.boolean() },
      { requiredKeys: ['key'] },
    ),
  },
);
const deletion = (end: fc.Arbitrary<Buffer>) =>
  fc.record({ key: rareEmptyKey, range_end: end, prev_kv: fc.boolean() }, { requiredKeys: ['key'] });

const result = fc.constantFrom('Equal', 'Greater', 'Less', 'NotEqual');
const compare = fc.oneof(
  ...[
    fc.record({ target: fc.constant('Version'), version: smallNumber }),
    fc.record({ target: fc.constant('Create'), create_revision: revision }),
    fc.record({ target: fc.constant('Mod'), mod_revision: revision }),
    fc.record({ target: fc.constant('Value'), value }),
    fc.record({ target: fc.constant('Lease'), lease }),
  ].map((target) =>
    fc.tuple(target, fc.record({ key, result, range_end: anyEnd }, { requiredKeys: ['key', 'result'] })),
  ),
);
const guard = compare.map(([target, common]) => ({ ...common, ...target }));

function transaction(puts: fc.Arbitrary<object>, deletions: fc.Arbitrary<object>): fc.Arbitrary<object> {
  const { txn } = fc.letrec((tie) => ({
    op: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { weight: 3, arbitrary: range.map((request_range) => ({ request_range })) },
      { weight: 4, arbitrary: puts.map((request_put) => ({ request_put })) },
      { weight: 2, arbitrary: deletions.map((request_delete_range) => ({ request_delete_range })) },
      { weight: 3, arbitrary: tie('txn').map((request_txn) => ({ request_txn })) },
      { weight: 1, arbitrary: fc.constant({}) },
    ),
    ops: fc.array(tie('op'), { maxLength: 3, depthIdentifier: 'txn' }),
    txn: fc.record(
      { compare: fc.array(guard, { maxLength: 2 }), success: tie('ops'), failure: tie('ops') },
      { requiredKeys: [] },
    ),
  }));
  return txn as fc.Arbitrary<object>;
}
// An open-ended deletion followed by a put that needs the previous value slips through etcd 3.4's check for
// duplicates and ends the real server, so the two do not come together.
const txn = fc.oneof(transaction(put, deletion(closedEnd)), transaction(plainPut, deletion(anyEnd)));

type Step = readonly [method: string, request: object];
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('put'), put) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('deleteRange'), deletion(anyEnd)) },
  { weight: 5, arbitrary: fc.tuple(fc.constant('range'), range) },
  { weight: 8, arbitrary: fc.tuple(fc.constant('txn'), txn) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('compact'), fc.record({ revision })) },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constant('leaseGrant'), fc.record({ ID: realLease, TTL: fc.constant(3600) })),
  },
  { weight: 1, arbitrary: fc.tuple(fc.constant('leaseRevoke'), fc.record({ ID: lease })) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constant('leaseTimeToLive'), fc.record({ ID: lease, keys: fc.boolean() })),
  },
);

/** Written last of all, to know when a watcher has seen everything. */
const marker = bytes('zzz');

/** One server during one sequence. */
class Subject {
  readonly #client: Etcd3;
  #base = 0;
  #firstLease = 0;
  #compacted = 0;
  #seenLive: () => Promise<unknown> = () => Promise.resolve();

  constructor(client: Etcd3) {
    this.#client = client;
  }

  /** No keys, no leases of this sequence, nothing to read but the present. */
  async begin(firstLease: number): Promise<void> {
    const everything = { key: bytes('\0'), range_end: bytes('\0') };
    await this.#client.kv.put({ key: bytes('a'), value: bytes('') });
    const { header } = await this.#client.kv.deleteRange(everything);
    this.#base = Number(header.revision);
    this.#compacted = this.#base;
    this.#firstLease = firstLease;
    await this.#client.kv.compact({ revision: this.#base });
    this.#seenLive = await this.#watch(this.#base + 1);
  }

  /** What a watcher saw while it happened, and what one sees who comes afterwards. */
  async events(withLatecomer: boolean): Promise<unknown> {
    await this.#client.kv.put({ key: marker });
    const seenLater = withLatecomer ? await this.#watch(this.#compacted + 1) : () => undefined;
    return { live: await this.#seenLive(), later: await seenLater() };
  }

  async end(): Promise<void> {
    for (const slot of [1, 2, 3]) {
      await this.run(['leaseRevoke', { ID: { lease: slot } }]);
    }
  }

  /** The reply or the refusal, with what may differ between two servers taken out. */
  async run([method, request]: Step): Promise<unknown> {
    const { kv, leaseClient } = this.#client;
    const concrete = this.#concrete(request) as never;
    const calls: Record<string, () => Promise<unknown>> = {
      put: () => kv.put(concrete as IPutRequest),
      deleteRange: () => kv.deleteRange(concrete as IDeleteRangeRequest),
      range: () => kv.range(concrete as IRangeRequest),
      txn: () => kv.txn(concrete as ITxnRequest),
      compact: () => kv.compact(concrete),
      leaseGrant: () => leaseClient.leaseGrant(concrete),
      leaseRevoke: () => leaseClient.leaseRevoke(concrete),
      leaseTimeToLive: () => leaseClient.leaseTimeToLive(concrete),
    };
    try {
      const reply = this.#comparable(await calls[method]?.());
      if (method === 'compact') {
        this.#compacted = (concrete as { revision: number }).revision;
      }
      return reply;
    } catch (error) {
      return { refused: String(error) };
    }
  }

  /** Resolves when the watcher is there, with a way to await all events up to the marker. */
  async #watch(startRevision: number): Promise<() => Promise<unknown>> {
    const stream = await this.#client.watchClient.watch();
    const inbox = new Inbox<IWatchResponse>(stream);
    const everything = { key: bytes('\0'), range_end: bytes('\0') };
    stream.write({ create_request: { ...everything, start_revision: startRevision } });
    await inbox.next();
    const collect = async () => {
      const events: IEvent[] = [];
      while (!events.at(-1)?.kv.key.equals(marker)) {
        events.push(...(await inbox.next()).events);
      }
      stream.end();
      return this.#comparable(events);
    };
    const collected = collect();
    collected.catch(() => {}); // awaited later
    return () => collected;
  }

  #concrete(node: unknown): unknown {
    if (Buffer.isBuffer(node) || typeof node !== 'object' || node === null) {
      return node;
    }
    if (Array.isArray(node)) {
      return node.map((item) => this.#concrete(item));
    }
    if ('offset' in node) {
      return this.#base + (node as Relative).offset;
    }
    const slot = (node as Partial<LeaseSlot>).lease;
    if (typeof slot === 'number') {
      return slot === 0 ? 0 : this.#firstLease + slot;
    }
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, this.#concrete(child)]));
  }

  #comparable(node: unknown, name = ''): unknown {
    if (Buffer.isBuffer(node)) {
      return node.toString('latin1');
    }
    if (Array.isArray(node)) {
      const items = node.map((item) => this.#comparable(item));
      return name === 'keys' ? items.sort() : items; // the keys of a lease come in no order
    }
    if (typeof node === 'object' && node !== null) {
      return Object.fromEntries(
        Object.entries(node)
          .filter(([field]) => !['cluster_id', 'member_id', 'raft_term'].includes(field))
          .map(([field, child]) => [field, this.#comparable(child, field)]),
      );
    }
    return name.endsWith('revision') && Number(node) > 0 ? { offset: Number(node) - this.#base } : node;
  }
}

testWith(['etcd'], 'random requests get equal replies from the embedded and the real etcd', async (t) => {
  const [real, embedded] = await Promise.all([startRealEtcd(t), startEmbeddedEtcd(t)]);
  const subjects = [real, embedded].map(({ endpoint }) => new Subject(connect(t, endpoint)));
  let firstLease = 1000;
  const sequence = fc.array(step, { minLength: 5, maxLength: 30 });
  // The real etcd looks after those who come late only ten times a second: not in every sequence.
  const withLatecomer = fc.integer({ min: 0, max: 9 }).map((number) => number === 0);
  const property = fc.asyncProperty(sequence, withLatecomer, async (steps, latecomer) => {
    firstLease += 10;
    for (const subject of subjects) {
      await subject.begin(firstLease);
    }
    for (const [index, one] of steps.entries()) {
      const [expected, actual] = await Promise.all(subjects.map((subject) => subject.run(one)));
      const difference = () => `step ${index}: ${one[0]}\nreal: ${show(expected)}\nembedded: ${show(actual)}`;
      if (show(expected) !== show(actual)) {
        throw new Error(difference());
      }
    }
    const [expected, actual] = await Promise.all(subjects.map((subject) => subject.events(latecomer)));
    if (show(expected) !== show(actual)) {
      throw new Error(`watchers\nreal: ${show(expected)}\nembedded: ${show(actual)}`);
    }
    for (const subject of subjects) {
      await subject.end();
    }
  });
  await holds(t, property, { runs: 150, limitMs: 40_000 });
});

const show = (value: unknown): string => JSON.stringify(value);
