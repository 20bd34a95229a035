import type { ExecutionContext } from 'ava';
import type { Etcd3, IWatchResponse } from 'etcd3';
import fc from 'fast-check';
import type { Binding } from '../../services/domain/binding.js';
import { parseCall } from '../../services/domain/call.js';
import { HoldfastError } from '../../services/domain/error.js';
import { decodeBinding } from '../../services/registry/binding-value.js';
import { endOfPrefix, type Keyspace } from '../../services/registry/keyspace.js';
import { decodeRelay } from '../../services/registry/values.js';
import type { Answer } from '../../services/selection/question.js';
import { behaviours } from '../support/etcd.js';
import {
  aRelay,
  ask,
  deleteRelay,
  eventually,
  newKeyspace,
  putRelay,
  startSelector,
} from '../support/registry.js';

/**
 * Whatever three replicas are asked at once while relays come and go: etcd's own history of the call is compared with
 * what they answered.
 */
const behaviour = behaviours();
const relayIds = ['r1', 'r2', 'r3'];

type Operation =
  | { readonly do: 'select' | 'lookup' | 'release' | 'prolong'; readonly at: number }
  | { readonly do: 'move'; readonly at: number; readonly generation: number }
  | { readonly do: 'join' | 'leave' | 'restart'; readonly id: string };

const at = fc.nat(2);
const id = fc.constantFrom(...relayIds);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('select' as const), at }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('lookup', 'prolong', 'release'), at }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      at,
      generation: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('join', 'leave', 'restart'), id }) },
);
/** Steps follow each other; the operations of one step are begun together. */
const steps = fc.array(fc.array(operation, { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 6 });

interface Version<T> {
  readonly revision: number;
  readonly value: T | undefined;
}

/** All versions of all relays and calls, as etcd tells them. */
class History {
  readonly relays = new Map<string, Version<string>[]>();
  readonly calls = new Map<string, Version<Binding>[]>();
  #reached = '';

  static async watch(t: ExecutionContext, client: Etcd3, keys: Keyspace): Promise<History> {
    const history = new History();
    const stream = await client.watchClient.watch();
    t.teardown(() => stream.cancel());
    stream.on('error', () => {});
    let created = false;
    stream.on('data', (response: IWatchResponse) => {
      created ||= response.created;
      for (const { type, kv } of response.events)
        history.#add(keys, kv.key.toString(), Number(kv.mod_revision), type === 'Put' ? kv.value : undefined);
    });
    const root = Buffer.from(keys.relays.slice(0, -'relays/'.length));
    stream.write({ create_request: { key: root, range_end: endOfPrefix(root.toString()) } });
    await eventually(() => created, 'watch');
    return history;
  }

  /** Resolves when all that was written before is here. */
  async catchUp(client: Etcd3, keys: Keyspace, marker: string): Promise<void> {
    await client.kv.put({ key: Buffer.from(`${keys.lives}${marker}`), value: Buffer.from('') });
    await eventually(() => this.#reached === marker, 'the end of the history');
  }

  /** The instance that was registered just before this revision. */
  registeredBefore(revision: number, relayId: string): string | undefined {
    return this.relays.get(relayId)?.findLast((version) => version.revision < revision)?.value;
  }

  #add(keys: Keyspace, key: string, revision: number, bytes: Buffer | undefined): void {
    const name = (prefix: string) => (key.startsWith(prefix) ? key.slice(prefix.length) : undefined);
    const relay = name(keys.relays);
    const call = name(keys.calls);
    if (relay !== undefined) {
      const value = bytes && decodeRelay(relay, bytes)?.instance;
      push(this.relays, relay.slice('default/'.length), { revision, value });
    } else if (call !== undefined)
      push(this.calls, call, { revision, value: bytes && decodeBinding(parseCall(call), bytes) });
    else this.#reached = name(keys.lives) ?? this.#reached;
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

const place = ({ relayId, instance, generation }: Binding) => `${relayId}/${instance}/${generation}`;
const expected = ['no-relay', 'not-found', 'failed-precondition', 'unavailable'];

behaviour(
  'replicas read one history of a call, and move it only when they may',
  async (t, client, { endpoint }) => {
    const keys = newKeyspace();
    const history = await History.watch(t, client, keys);
    const replicas = await Promise.all([0, 1, 2].map(() => startSelector(t, endpoint, { keys })));
    const lives = new Map<string, number>();
    const life = (relayId: string) => aRelay({ id: relayId, instance: `life-${lives.get(relayId) ?? 0}` });
    let run = 0;

    const perform = async (callId: string, op: Operation): Promise<Answer | undefined> => {
      if ('id' in op) {
        if (op.do === 'restart') lives.set(op.id, (lives.get(op.id) ?? 0) + 1);
        if (op.do === 'leave') await deleteRelay(client, keys, life(op.id));
        else await putRelay(client, keys, life(op.id));
        return undefined;
      }
      const selector = replicas[op.at]?.selector;
      const request = ask(callId);
      if (op.do === 'select') return selector?.select(request);
      if (op.do === 'lookup') return selector?.lookup(request.call);
      if (op.do === 'prolong') return selector?.prolong(request.call, 3_600);
      if (op.do === 'move')
        return selector?.move({
          ...request,
          requestId: `move-${request.requestId}`,
          generation: op.generation,
          reason: 'test',
        });
      await selector?.release(request.call);
      return undefined;
    };

    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const callId = `call-${++run}`;
        for (const relayId of relayIds) await putRelay(client, keys, life(relayId));
        const answers: Answer[] = [];
        for (const step of all) {
          const outcomes = await Promise.allSettled(step.map((op) => perform(callId, op)));
          for (const outcome of outcomes) {
            if (outcome.status === 'fulfilled') {
              if (outcome.value) answers.push(outcome.value);
              continue;
            }
            const { reason } = outcome;
            if (!(reason instanceof HoldfastError) || !expected.includes(reason.code)) throw reason;
          }
        }
        await history.catchUp(client, keys, callId);
        const versions = history.calls.get(callId) ?? [];
        const places = versions.flatMap(({ value }) => (value ? [place(value)] : []));
        for (const { binding } of answers)
          t.true(places.includes(place(binding)), `${place(binding)} is none of ${places.join(', ')}`);
        checkMoves(t, history, versions);
      }),
      { numRuns: 25 },
    );
  },
);

/** Guarantees 2 and 3: the target was registered, and the call moved on request or from a relay that was gone. */
function checkMoves(t: ExecutionContext, history: History, versions: readonly Version<Binding>[]): void {
  let before: Binding | undefined;
  for (const { revision, value } of versions) {
    if (!value) {
      before = undefined;
      continue;
    }
    const { relayId, instance, generation, requestId } = value;
    if (!before || before.generation !== generation) {
      const registered = history.registeredBefore(revision, relayId);
      t.is(registered, instance, `${place(value)} was bound where ${registered} was registered`);
      t.is(generation, (before?.generation ?? 0) + 1);
    } else t.is(place(value), place(before), 'without a new generation a call does not move');
    if (before && before.generation !== generation && !requestId.startsWith('move-'))
      t.not(
        history.registeredBefore(revision, before.relayId),
        before.instance,
        `${place(before)} was there still`,
      );
    before = value;
  }
}
