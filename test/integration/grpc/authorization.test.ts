import { type Client, type MethodDefinition, type ServiceError, status } from '@grpc/grpc-js';
import { RelayServiceService, SetIntentRequest } from '../../../proto/generated/holdfast/v1/relay.js';
import {
  MoveRequest,
  SelectionServiceService,
  SelectRequest,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { rightsOf } from '../../../services/grpc/authorization.js';
import { Scrape } from '../../support/prometheus.js';
import { eventually } from '../../support/registry.js';
import { asks, failure } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { runHoldfast } from '../../support/stack.js';
import { clients, lineOf, secured, tlsScene } from './trust-scene.js';

const names = {
  HOLDFAST_GRPC_SELECT_NAMES: 'sip-proxy.example.org,*.proxies.example.org',
  HOLDFAST_GRPC_ADMIN_NAMES: 'Operator One',
};

/** What each kind of client may ask: every method of both services. */
const table: Record<string, { readonly proxy: boolean; readonly operator: boolean }> = {
  Select: { proxy: true, operator: false },
  SelectStream: { proxy: true, operator: false },
  Release: { proxy: true, operator: false },
  Lookup: { proxy: true, operator: true },
  Move: { proxy: true, operator: true },
  ListRelays: { proxy: true, operator: true },
  WatchRelays: { proxy: true, operator: true },
  WatchEvents: { proxy: true, operator: true },
  GetStatus: { proxy: true, operator: true },
  SetIntent: { proxy: false, operator: true },
  ListBindings: { proxy: false, operator: true },
};

type Method = Pick<MethodDefinition<unknown, unknown>, 'path' | 'requestStream' | 'responseStream'>;

const methods: readonly Method[] = [SelectionServiceService, RelayServiceService].flatMap((service) =>
  Object.values(service),
);

type Status = Pick<ServiceError, 'code' | 'details'>;

const bytes = (each: Buffer) => each;
/** Every field at its default. */
const emptyMessage = Buffer.alloc(0);

/** The status of one call: anything but PERMISSION_DENIED has passed. */
function statusOf(client: Client, { path, requestStream, responseStream }: Method): Promise<Status> {
  return new Promise((resolve) => {
    const answered = () => resolve({ code: status.OK, details: '' });
    if (!responseStream) {
      client.makeUnaryRequest(path, bytes, bytes, emptyMessage, (error) =>
        error ? resolve(error) : answered(),
      );
      return;
    }
    const stream = client.makeBidiStreamRequest(path, bytes, bytes);
    stream.on('data', () => {
      answered();
      stream.cancel();
    });
    stream.on('error', resolve);
    stream.on('status', resolve);
    // A client that streams may end without a word.
    if (requestStream) {
      stream.end();
    } else {
      stream.end(emptyMessage);
    }
  });
}

testWith(['openssl'], 'every method is permitted to the right names only', async (t) => {
  const { authority, replica } = await tlsScene(t, { mutual: true, env: names });
  const client = async (constraints: { commonName?: string; names?: string[] }) =>
    clients(t, replica.grpc, await secured(authority.ca, await authority.issue(constraints)));
  const people = {
    proxy: await client({ names: ['other.example.org', 'SIP-proxy.example.org'] }),
    operator: await client({ commonName: 'Operator One' }),
    stranger: await client({ names: ['stranger.example.org'] }),
  };
  t.is(methods.length, Object.keys(table).length);
  for (const method of methods) {
    const name = method.path.split('/').at(-1) ?? '';
    const may = { stranger: false, ...table[name] };
    for (const [who, { selection }] of Object.entries(people)) {
      const { code, details } = await statusOf(selection, method);
      const denied = code === status.PERMISSION_DENIED;
      t.is(denied, !may[who as keyof typeof people], `${name} by ${who}: ${status[code]} ${details}`);
      if (who === 'stranger') {
        t.regex(details, /names "stranger\.example\.org", which must not/);
      }
    }
  }
  const line = await lineOf(replica, 'client not permitted');
  t.deepEqual(line['names'], ['Operator One'], 'the first of them');
  t.is(line['method'], '/holdfast.v1.SelectionService/Select');
  const scrape = await Scrape.of(replica.http);
  const result = 'permission_denied';
  t.is(scrape.value('holdfast_requests_total', { front: 'grpc', command: 'SetIntent', result }), 2);
});

testWith(['openssl'], 'who did it is the name in the certificate, whatever the client says', async (t) => {
  const { authority, replica, register } = await tlsScene(t, { mutual: true });
  await register('r2');
  const security = await secured(authority.ca, await authority.issue({ commonName: 'Operator One' }));
  const { relays, selection } = clients(t, replica.grpc, security);
  const known = async () => (await asks(relays, relays.listRelays, { set: '' })).relays.length;
  await eventually(async () => (await known()) === 2, 'both relays');
  const callId = 'moved';
  await asks(selection, selection.select, SelectRequest.fromPartial({ callId }));
  const request = MoveRequest.fromPartial({ callId, generation: 1n, reason: 'noise' });
  const { binding } = await asks(selection, selection.move, request);
  t.is(binding?.moves.at(-1)?.actor, 'Operator One');
  const drain = SetIntentRequest.fromPartial({ relayId: 'r1', state: 2, reason: 'x', actor: 'another' });
  const { intent } = await asks(relays, relays.setIntent, drain);
  t.is(intent?.actor, 'Operator One');
});

testWith(
  ['openssl'],
  'a wildcard names one label; health and reflection are open to every certificate',
  async (t) => {
    const { authority, replica } = await tlsScene(t, { mutual: true, env: names });
    const env = async (name: string) => {
      const { ca, cert, key } = await authority.issue({ names: [name] });
      return { HOLDFAST_SERVER: replica.grpc, HOLDFAST_CA: ca, HOLDFAST_CERT: cert, HOLDFAST_KEY: key };
    };
    const one = await runHoldfast(t, ['select', 'a'], await env('p7.proxies.example.org'));
    t.is(one.code, 0, one.output);
    for (const name of ['a.p7.proxies.example.org', 'proxies.example.org']) {
      const refused = await runHoldfast(t, ['select', 'a'], await env(name));
      t.is(refused.code, 1);
      t.is(
        refused.output,
        `holdfast: PERMISSION_DENIED: the client's certificate names "${name}", which must not select; ` +
          'see HOLDFAST_GRPC_SELECT_NAMES of the replica\n',
      );
    }
    const shown = await authority.issue({ names: ['stranger.example.org'] });
    const { selection } = clients(t, replica.grpc, await secured(authority.ca, shown));
    for (const path of [...rightsOf.keys()].filter((each) => !each.startsWith('/holdfast.'))) {
      const { code } = await statusOf(selection, { path, requestStream: false, responseStream: true });
      t.not(code, status.PERMISSION_DENIED, path);
      t.not(code, status.UNIMPLEMENTED, path);
    }
  },
);

testWith(
  ['openssl'],
  'a right without configured names is granted to every client with a certificate',
  async (t) => {
    const { HOLDFAST_GRPC_ADMIN_NAMES } = names;
    const { authority, replica } = await tlsScene(t, { mutual: true, env: { HOLDFAST_GRPC_ADMIN_NAMES } });
    const proxy = await authority.issue({ names: ['any.example.org'] });
    const { selection, relays } = clients(t, replica.grpc, await secured(authority.ca, proxy));
    const set = asks(
      relays,
      relays.setIntent,
      SetIntentRequest.fromPartial({ relayId: 'r1', set: 'default' }),
    );
    t.is((await failure(set)).code, status.PERMISSION_DENIED);
    const { code } = await statusOf(selection, SelectionServiceService.lookup);
    t.is(code, status.INVALID_ARGUMENT);
  },
);
