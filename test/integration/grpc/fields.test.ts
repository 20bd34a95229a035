import { type ServiceError, status } from '@grpc/grpc-js';
import test from 'ava';
import { ListBindingsRequest, SetIntentRequest } from '../../../proto/generated/holdfast/v1/relay.js';
import {
  LookupRequest,
  type MoveRequest,
  type SelectRequest,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { fileScope } from '../../support/etcd.js';
import { asks, failure, type InProcessReplica, move, replicaScene, select } from '../../support/replica.js';

/** Every field of every method with what it must not be: a clear refusal, and nothing done. */

interface Refusal {
  readonly field: string;
  readonly problem: string;
  readonly allowed: string;
}

const name = "1-63 of a-z, 0-9 and '-', not '-' at either end";
const ascii = (limit: string) => `${limit} bytes of visible ASCII (0x21-0x7e)`;
const x = (length: number) => 'x'.repeat(length);
const many = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);
const labels = (count: number) => Object.fromEntries(many(count).map((each) => [each, '']));

const callId = '1-16384 bytes';
const call: [object, Refusal][] = [
  [{ callId: '' }, { field: 'call_id', problem: 'is empty', allowed: callId }],
  [{ callId: x(16_385) }, { field: 'call_id', problem: 'has 16385 bytes', allowed: callId }],
  [{ callId: 'é'.repeat(8193) }, { field: 'call_id', problem: 'has 16386 bytes', allowed: callId }],
  [{ viaBranch: ' ' }, { field: 'via_branch', problem: '" "', allowed: ascii('0-256') }],
  [{ viaBranch: x(257) }, { field: 'via_branch', problem: '(257 characters)', allowed: ascii('0-256') }],
];
const request: [object, Refusal][] = [
  [{ requestId: 'a b' }, { field: 'request_id', problem: '"a b"', allowed: ascii('0-64') }],
  [{ requestId: x(65) }, { field: 'request_id', problem: x(65), allowed: ascii('0-64') }],
];
const beginning: [object, Refusal][] = [
  [{ beginning: 'a b' }, { field: 'beginning', problem: '"a b"', allowed: ascii('0-64') }],
];
const constraints: [object, Refusal][] = [
  [{ excludedRelayIds: ['r1', 'R'] }, { field: 'excluded_relay_ids', problem: '"R"', allowed: name }],
  [{ excludedRelayIds: many(65) }, { field: 'excluded_relay_ids', problem: '65 ids', allowed: 'at most 64' }],
  [{ zone: x(64) }, { field: 'zone', problem: x(64), allowed: 'at most 63 characters' }],
  [{ labels: labels(17) }, { field: 'labels', problem: '17 labels', allowed: 'at most 16' }],
  [{ labels: { '': 'a' } }, { field: 'labels', problem: 'a name is empty', allowed: '1-63 characters' }],
  [{ labels: { [x(64)]: '' } }, { field: 'labels', problem: x(64), allowed: 'at most 63 characters' }],
  [
    { labels: { a: x(256) } },
    { field: 'labels', problem: '(256 characters)', allowed: 'at most 255 characters' },
  ],
];
const set = (field: string): [object, Refusal][] =>
  ['NOPE', '-a', 'a.b', x(64)].map((value) => [
    { [field === 'set' ? 'set' : 'relayId']: value },
    { field, problem: `"${value}"`, allowed: name },
  ]);
const ttl: [object, Refusal][] = [1, 9, 86_401, 4_294_967_295].map((value) => [
  { ttlSeconds: value },
  { field: 'ttl_seconds', problem: `${value}`, allowed: '10-86400, or 0 for the default' },
]);
const moving: [object, Refusal][] = [
  [{ generation: 0n }, { field: 'generation', problem: '0', allowed: '1-1000000000' }],
  [{ generation: 2n ** 53n }, { field: 'generation', problem: '9007199254740992', allowed: '1-1000000000' }],
  [{ reason: '' }, { field: 'reason', problem: 'is empty', allowed: '1-256 characters' }],
  [{ reason: x(257) }, { field: 'reason', problem: '(257 characters)', allowed: 'at most 256 characters' }],
  [{ targetRelayId: 'R' }, { field: 'target_relay_id', problem: '"R"', allowed: name }],
  [{ actor: x(65) }, { field: 'actor', problem: x(65), allowed: 'at most 64 characters' }],
];
const intent: [object, Refusal][] = [
  [{ relayId: '' }, { field: 'relay_id', problem: 'is empty', allowed: name }],
  [{ state: 9 }, { field: 'state', problem: '9', allowed: 'UNSPECIFIED, ACTIVE, DRAINING, DISABLED' }],
  [
    { weight: 1, ownWeight: true },
    { field: 'own_weight', problem: 'together with weight', allowed: 'one of the two' },
  ],
  [{ weight: 10_001 }, { field: 'weight', problem: '10001', allowed: '0-10000' }],
  [{ reason: x(257) }, { field: 'reason', problem: '(257 characters)', allowed: 'at most 256 characters' }],
  [{ actor: x(65) }, { field: 'actor', problem: x(65), allowed: 'at most 64 characters' }],
];

const wishes: [object, Refusal][] = [
  [{ withCallId: x(16_385) }, { field: 'with_call_id', problem: 'has 16385 bytes', allowed: callId }],
  [{ features: many(17) }, { field: 'features', problem: '17 features', allowed: 'at most 16' }],
  [{ features: ['srtp', ''] }, { field: 'features', problem: 'one is empty', allowed: '1-63 characters' }],
  [{ features: [x(64)] }, { field: 'features', problem: x(64), allowed: 'at most 63 characters' }],
];

type Ask = (replica: InProcessReplica, fields: object) => Promise<unknown>;

/** What each method is asked that is right but for one field. */
const methods: Record<string, { ask: Ask; refused: [object, Refusal][] }> = {
  Select: {
    ask: ({ selection }, fields) => select(selection, { callId: 'call', ...fields } as SelectRequest),
    refused: [...call, ...set('set'), ...request, ...ttl, ...constraints, ...wishes],
  },
  Lookup: {
    ask: ({ selection }, fields) =>
      asks(selection, selection.lookup, LookupRequest.fromPartial({ callId: 'call', ...fields })),
    refused: [...call, ...set('set')],
  },
  Move: {
    ask: ({ selection }, fields) =>
      move(selection, { callId: 'call', generation: 1n, ...fields } as MoveRequest),
    refused: [...call, ...set('set'), ...moving, ...request, ...constraints],
  },
  Release: {
    ask: ({ selection }, fields) =>
      asks(selection, selection.release, {
        callId: 'call',
        viaBranch: '',
        set: '',
        beginning: '',
        ...fields,
      }),
    refused: [...call, ...set('set'), ...beginning],
  },
  ListRelays: {
    ask: ({ relays }, fields) => asks(relays, relays.listRelays, { set: '', ...fields }),
    refused: set('set'),
  },
  WatchRelays: {
    ask: ({ relays }, fields) => ended(relays.watchRelays({ set: '', ...fields })),
    refused: set('set'),
  },
  SetIntent: {
    ask: ({ relays }, fields) =>
      asks(relays, relays.setIntent, SetIntentRequest.fromPartial({ relayId: 'r1', state: 1, ...fields })),
    refused: [...set('set'), ...set('relay_id'), ...intent],
  },
  ListBindings: {
    ask: ({ relays }, fields) =>
      ended(relays.listBindings(ListBindingsRequest.fromPartial({ relayId: 'r1', ...fields }))),
    refused: [...set('set'), ...set('relay_id'), ...intent.slice(0, 1)],
  },
};

function ended(stream: NodeJS.ReadableStream): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on('data', () => {});
    stream.on('end', resolve);
    stream.on('error', reject);
  });
}

const scene = replicaScene(fileScope());

for (const [method, { ask, refused }] of Object.entries(methods)) {
  test(`${method} refuses each bad field by name, with its problem and the limit`, async (t) => {
    const replica = await scene;
    for (const [fields, { field, problem, allowed }] of refused) {
      const { code, details }: ServiceError = await failure(ask(replica, fields));
      t.is(code, status.INVALID_ARGUMENT, details);
      t.true(details.startsWith(`${field}: `), details);
      t.true(details.includes(problem), `${details} should include ${problem}`);
      t.true(details.slice(details.indexOf('; allowed: ')).includes(allowed), details);
    }
  });
}

test.after('nothing that was refused has left a trace', async (t) => {
  const { client, keys } = await scene;
  t.is(await client.getAll().prefix(keys.calls).count(), 0);
  t.is(await client.getAll().prefix(keys.intents).count(), 0);
});

test('what is just within the limits is taken', async (t) => {
  const features = [x(63), ...many(15)];
  const relay = { id: 'r1', labels: labels(16), zone: x(63), features };
  const { selection, relays, stop } = await replicaScene(t, [relay]);
  const widest: Partial<SelectRequest> = {
    callId: '~'.repeat(16_384),
    withCallId: 'é'.repeat(8192),
    features,
    viaBranch: '!'.repeat(256),
    requestId: x(64),
    ttlSeconds: 86_400,
    excludedRelayIds: many(64),
    zone: x(63),
    labels: labels(16),
  };
  const { binding } = await select(selection, widest);
  t.is(binding?.callId, widest.callId);
  t.is(binding?.viaBranch, widest.viaBranch);
  t.is(binding?.relay?.id, 'r1');
  for (const id of ['!', ' ', '\0', 'a\r\n', 'Anruf \u{1f4de}', '\ufffd']) {
    const { binding: any } = await select(selection, { callId: id, ttlSeconds: 10 });
    t.is(any?.callId, id);
  }
  const intent = { relayId: 'r1', state: 1, weight: 10_000, reason: x(256), actor: x(64) };
  const set = await asks(relays, relays.setIntent, SetIntentRequest.fromPartial(intent));
  t.is(set.intent?.actor, `${x(64)} (unverified)`, 'no certificate says so');
  await stop();
});
