import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { LeaseGoneError } from '../../services/etcd/errors.js';
import { GroupCommit } from '../../services/etcd/group-commit.js';
import type { Compare, KeyValue, Txn, TxnResult } from '../../services/etcd/txn-codec.js';
import { turns } from '../support/clock.js';
import { fileScope, startEmbeddedEtcd } from '../support/etcd.js';
import { type Fate, FaultyConnection } from '../support/faulty-connection.js';
import { EtcdHistory } from '../support/history.js';
import { holds, scoped } from '../support/property.js';
import { codeOf, newKeyspace } from '../support/registry.js';

/**
 * Several committers write and read a few keys. Their commits are sent and answered in any order; some are never sent, some
 * are not answered, some are executed long after they were given up. The result of each operation must agree with etcd's
 * own history.
 */

interface Write {
  readonly do: 'write';
  readonly at: number;
  readonly key: string;
  /** Guarded: only if the key is as this committer last saw it. */
  readonly isGuarded: boolean;
  /** With a lease that does not exist. */
  readonly isLeaseless: boolean;
}
interface Read {
  readonly do: 'read';
  readonly at: number;
  readonly key: string;
}

const committers = 2;
const at = fc.nat(committers - 1);
const key = fc.constantFrom('a', 'b', 'c');
const isLeaseless = fc.nat(14).map((number) => number === 14);
const operation: fc.Arbitrary<Write | Read> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('write' as const),
      at,
      key,
      isGuarded: fc.boolean(),
      isLeaseless,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), at, key }) },
);
/** The operations of one burst start in one turn. Further ones on other keys fill the commits. */
const burst = fc.record({
  operations: fc.array(operation, { minLength: 1, maxLength: 8 }),
  others: fc.constantFrom(0, 0, 0, 0, 0, 0, 40, 500),
});
const fate = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Fate>('well') },
  { weight: 2, arbitrary: fc.constantFrom<Fate>('unsent', 'unanswered', 'late') },
);

/** Limits that GroupCommit keeps, and etcd's limits. */
const most = { inFlight: 4, operations: 120 };
const unknownLease = '1234567';

/** The scheduler decides when its transactions are sent and answered. */
class ScheduledConnection extends FaultyConnection {
  readonly late: Promise<void>[] = [];
  failures = 0;
  inFlight = 0;
  mostInFlight = 0;
  mostOperations = 0;

  constructor(
    endpoint: string,
    private readonly scheduler: fc.Scheduler,
    fates: readonly Fate[],
  ) {
    super(endpoint);
    let next = 0;
    this.fate = () => {
      const fate = fates[next++] ?? 'well';
      if (fate !== 'well') {
        this.failures++;
      }
      return fate;
    };
    this.untilLate = () => {
      const later = this.#turn('what was given up is done');
      this.late.push(later);
      return later;
    };
  }

  override async txn(request: Txn): Promise<TxnResult> {
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    this.mostOperations = Math.max(this.mostOperations, request.success.length);
    try {
      await this.#turn('a commit leaves');
      return await super.txn(request);
    } finally {
      await this.#turn('its answer comes');
      this.inFlight--;
    }
  }

  async #turn(label: string): Promise<void> {
    await this.scheduler.schedule(Promise.resolve(), label);
  }
}

interface Found {
  readonly revision: number;
  readonly value: string | undefined;
}
type Outcome =
  | { readonly is: 'written'; readonly revision: number }
  | { readonly is: 'refused' | 'read'; readonly found: Found }
  | { readonly is: 'lease gone' | 'unknown' };

/** One operation from its caller's view. */
class Call {
  outcome: Outcome | undefined;
  /** Newest revision of its key that any committer had seen before it began. */
  readonly heardBefore: number;

  constructor(
    readonly operation: Write | Read,
    /** A unique value that it writes. */
    readonly value: string,
    /** The mod revision of its guard. */
    readonly expected: number | undefined,
    heard: ReadonlyMap<string, number>,
  ) {
    this.heardBefore = heard.get(operation.key) ?? 0;
  }
}

class Callers {
  readonly calls: Call[] = [];
  /** By key, for all committers, and for each one separately. */
  readonly #heard = new Map<string, number>();
  readonly #seen = Array.from({ length: committers }, () => new Map<string, number>());

  constructor(
    private readonly groups: readonly GroupCommit[],
    private readonly prefix: string,
  ) {}

  async make(operation: Write | Read): Promise<void> {
    const { at, key } = operation;
    const seen = this.#seen[at] as Map<string, number>;
    const expected = operation.do === 'write' && operation.isGuarded ? (seen.get(key) ?? 0) : undefined;
    const call = new Call(operation, `value-${this.calls.length}`, expected, this.#heard);
    this.calls.push(call);
    const outcome = await this.#perform(call).catch((error): Outcome => {
      if (error instanceof LeaseGoneError) {
        return { is: 'lease gone' };
      }
      assert.equal(codeOf(error), 'unavailable');
      return { is: 'unknown' };
    });
    assert.equal(call.outcome, undefined);
    call.outcome = outcome;
    const revision =
      'revision' in outcome ? outcome.revision : 'found' in outcome ? outcome.found.revision : 0;
    for (const map of [this.#heard, seen]) {
      map.set(key, Math.max(revision, map.get(key) ?? 0));
    }
  }

  async #perform({ operation, value, expected }: Call): Promise<Outcome> {
    const group = this.groups[operation.at] as GroupCommit;
    const key = Buffer.from(this.prefix + operation.key);
    if (operation.do === 'read') {
      return { is: 'read', found: found(await group.read({ key })) };
    }
    const lease = operation.isLeaseless ? unknownLease : '0';
    const compare: Compare[] =
      expected === undefined ? [] : [{ result: 'Equal', target: 'Mod', key, mod_revision: expected }];
    const { succeeded, responses } = await group.write({
      key: operation.key,
      compare,
      success: [key, twin(key)].map((each) => ({
        request_put: { key: each, value: Buffer.from(value), lease },
      })),
      failure: [{ request_range: { key } }],
    });
    if (!succeeded) {
      return { is: 'refused', found: found(responses[0]?.response_range?.kvs) };
    }
    return { is: 'written', revision: responses[0]?.response_put?.revision ?? 0 };
  }
}

/** A second key that each write writes. */
const twin = (key: Buffer) => Buffer.concat([key, Buffer.from('/twin')]);

function found([kv]: readonly KeyValue[] = []): Found {
  return { revision: kv?.mod_revision ?? 0, value: kv?.value.toString() };
}

/** Checks the result of each operation against etcd's history. */
function check(
  calls: readonly Call[],
  history: EtcdHistory,
  connections: readonly ScheduledConnection[],
): void {
  for (const { operation, value, expected, outcome, heardBefore } of calls) {
    const { key, at } = operation;
    const text = `${JSON.stringify(operation)} of ${value}: ${JSON.stringify(outcome)}`;
    const versions = history.of(key);
    const own = versions.filter(({ kv }) => kv?.value.toString() === value);
    const twins = history.of(`${key}/twin`).filter(({ kv }) => kv?.value.toString() === value);
    assert.ok(own.length <= 1, `written twice: ${text}`);
    assert.deepEqual(
      twins.map(({ revision }) => revision),
      own.map(({ revision }) => revision),
      `half of it written: ${text}`,
    );
    const [version] = own;
    assert.ok(outcome, `not answered: ${text}`);
    if (outcome.is === 'unknown') {
      assert.ok((connections[at]?.failures ?? 0) > 0, `without any failure: ${text}`);
    } else if (outcome.is === 'written') {
      assert.equal(version?.revision, outcome.revision, text);
    } else {
      assert.equal(version, undefined, `it was written: ${text}`);
    }
    if (outcome.is === 'lease gone') {
      assert.ok(
        calls.some(
          (call) => call.operation.do === 'write' && call.operation.isLeaseless && call.operation.at === at,
        ),
        `although all leases exist: ${text}`,
      );
    }
    if (version) {
      assert.ok(version.revision > heardBefore, `older than already seen: ${text}`);
      const before = versions.findLast(({ revision }) => revision < version.revision)?.revision ?? 0;
      assert.ok(expected === undefined || expected === before, `its guard did not hold: ${text}`);
    }
    if ('found' in outcome) {
      const { revision, value: read } = outcome.found;
      assert.ok(revision >= heardBefore, `older than already seen: ${text}`);
      assert.equal(versions.find((each) => each.revision === revision)?.kv?.value.toString(), read, text);
      if (outcome.is === 'refused') {
        assert.notEqual(expected ?? revision, revision, `its guard held: ${text}`);
      }
    }
  }
}

/** Runs the ready tasks one after the other, in an order that the property draws. */
async function drive(scheduler: fc.Scheduler, done: Promise<unknown>): Promise<void> {
  let isDone = false;
  const finish = () => {
    isDone = true;
  };
  done.then(finish, finish);
  const deadlineMs = performance.now() + 8000;
  while (!isDone) {
    if (performance.now() > deadlineMs) {
      throw new Error('not all operations are answered after 8 s');
    }
    await turns();
    if (scheduler.count() > 0) {
      await scheduler.waitOne();
    }
  }
  await done;
}

const scope = fileScope();
let server: ReturnType<typeof startEmbeddedEtcd> | undefined;

test('each operation gets its true outcome, in whatever order commits are sent and answered', async (t) => {
  server ??= startEmbeddedEtcd(scope);
  const { endpoint } = await server;
  const fates = fc.oneof(fc.constant([]), fc.array(fate, { maxLength: 12 }));
  const bursts = fc.array(burst, { minLength: 1, maxLength: 8, size: 'max' });
  const property = fc.asyncProperty(
    fc.scheduler(),
    bursts,
    fc.tuple(fates, fates),
    (scheduler, all, fatesOf) =>
      scoped(async (scope) => {
        const prefix = newKeyspace().calls;
        const history = await EtcdHistory.watch(scope, endpoint, prefix);
        const connections = fatesOf.map((each) => new ScheduledConnection(endpoint, scheduler, each));
        for (const connection of connections) {
          scope.teardown(() => connection.close());
        }
        const groups = connections.map((connection) => new GroupCommit(connection));
        const callers = new Callers(groups, prefix);
        const answered: Promise<void>[] = [];
        const begun = (async () => {
          let other = 0;
          for (const { operations, others } of all) {
            await scheduler.schedule(Promise.resolve(), 'more operations come');
            for (const each of operations) {
              answered.push(callers.make(each));
            }
            for (let i = 0; i < others; i++) {
              answered.push(callers.make({ do: 'read', at: 0, key: `other-${other++}` }));
            }
          }
        })();
        await drive(
          scheduler,
          begun.then(() => Promise.all(answered)),
        );
        await drive(scheduler, Promise.all(connections.map(({ late }) => Promise.all(late))));
        await history.catchUp();
        check(callers.calls, history, connections);
        for (const { mostInFlight, mostOperations } of connections) {
          assert.ok(mostInFlight <= most.inFlight, `${mostInFlight} commits under way`);
          assert.ok(mostOperations <= most.operations, `${mostOperations} operations in a commit`);
        }
        for (const group of groups) {
          assert.equal(group.waiting, 0);
        }
      }),
  );
  await holds(t, property, { runs: 25 });
});
