import test from 'ava';
import type { KernelStream } from '../../../../../relay-node/media/kernel/ruleset.js';
import { markOf, maxHops, maxStreams, Ruleset } from '../../../../../relay-node/media/kernel/ruleset.js';

const v4 = new Ruleset({
  table: 't',
  addresses: ['192.0.2.1', '192.0.2.7'],
  portMin: 30_000,
  portMax: 39_999,
});
const v6 = new Ruleset({ table: 't', addresses: ['2001:db8::1'], portMin: 30_000, portMax: 39_999 });

const stream: KernelStream = {
  mark: markOf(5, 2),
  device: 'eth0.7',
  path: {
    from: { address: '198.51.100.1', port: 4000 },
    at: { address: '192.0.2.1', port: 30_002 },
    leaving: { address: '192.0.2.7', port: 30_004 },
    to: { address: '198.51.100.2', port: 5000 },
    eventTypes: [101],
  },
};

test('the table takes the place of one of its name, in one transaction', (t) => {
  for (const ruleset of [v4, v6]) {
    const text = ruleset.create();
    t.true(text.startsWith('add table netdev t; delete table netdev t; add table ip'));
    t.notRegex(text, /\n/);
  }
  t.notRegex(v6.create(), /ipv4|\bip /);
});

test('the DSCP is set on both paths, or on neither', (t) => {
  const options = { table: 't', addresses: ['192.0.2.1'], portMin: 30_000, portMax: 39_999 };
  const text = new Ruleset({ ...options, dscp: 46 }).create();
  t.regex(text, /add rule netdev t relay .* ip dscp set 46 meta mark & 0xfff00000 vmap @hops/);
  t.regex(text, /add rule ip t output ip saddr \{ 192\.0\.2\.1 \} udp sport 30000-39999 ip dscp set 46/);
  t.notRegex(v4.create(), /dscp|output/);
});

test('telephone events of a stream come to user space where somebody is told of them', (t) => {
  const options = { table: 't', addresses: ['192.0.2.1'], portMin: 30_000, portMax: 39_999 };
  const telling = new Ruleset({ ...options, seesEvents: true });
  t.regex(
    telling.create(),
    /relay .* meta mark set @th,72,8 map \{ 96 : 0x00000060, 224 : 0x00000060, .* \} iifname \. ip saddr \. udp sport \. udp dport \. meta mark @events meta mark set 0 accept; .* meta mark 96-127 meta mark set 0; .* @flows/,
  );
  const element = 'element netdev t events { "eth0.7" . 198.51.100.1 . 4000 . 30002 . 0x00000065 }';
  t.true(telling.addStreams([stream]).startsWith(`add ${element}; add element netdev t flows`));
  t.true(telling.removeStreams([stream]).endsWith(`; delete ${element}`));
  const without = { ...stream, path: { ...stream.path, eventTypes: [] } };
  t.notRegex(telling.addStreams([without]), /events/);
  t.notRegex(v4.create() + v4.addStreams([stream]), /events/);
});

test('whole RTP datagrams for the relay are looked up, and nothing else', (t) => {
  t.regex(
    v4.create(),
    /ip daddr \{ 192\.0\.2\.1, 192\.0\.2\.7 \} ip protocol udp ip frag-off & 0x3fff == 0 udp dport 30000-39999/,
  );
  t.regex(v6.create(), /ip6 daddr \{ 2001:db8::1 \} ip6 nexthdr udp udp dport 30000-39999/);
  for (const text of [v4.create(), v6.create()]) {
    t.regex(
      text,
      /udp length >= 20 @th,64,2 2 @th,72,8 != 192-223 meta mark set iifname \. ip6? saddr \. udp sport \. udp dport map @flows/,
    );
  }
});

test('a stream is keyed by where its packets come from and to, and by their device', (t) => {
  const added = v4.addStreams([stream]).split('; ');
  t.deepEqual(added, [
    'add element netdev t flows { "eth0.7" . 198.51.100.1 . 4000 . 30002 : 0x00200005 }',
    'add element netdev t saddr { 0x00200005 : 192.0.2.7 }',
    'add element netdev t daddr { 0x00200005 : 198.51.100.2 }',
    'add element netdev t sport { 0x00200005 : 30004 }',
    'add element netdev t dport { 0x00200005 : 5000 }',
  ]);
});

test('a stream is removed in two steps: first nothing finds it any more', (t) => {
  t.deepEqual(
    [v4.hideStreams([stream]), v4.removeStreams([stream])],
    [
      'delete element netdev t flows { "eth0.7" . 198.51.100.1 . 4000 . 30002 }',
      [
        'delete element netdev t saddr { 0x00200005 }',
        'delete element netdev t daddr { 0x00200005 }',
        'delete element netdev t sport { 0x00200005 }',
        'delete element netdev t dport { 0x00200005 }',
      ].join('; '),
    ],
  );
});

test('a hop leads to a gateway, or to the address itself', (t) => {
  const route = { device: 'eth0', index: 2 };
  t.regex(
    v4.addHop(3, { ...route, gateway: '192.0.2.9' }),
    /hop3 meta mark set 0 fwd ip to 192\.0\.2\.9 device "eth0"/,
  );
  t.regex(v6.addHop(3, { ...route, gateway: undefined }), /fwd ip6 to ip6 daddr device "eth0"/);
  t.regex(v4.addHop(3, { ...route, gateway: undefined }), /hops \{ 0x00300000 : goto hop3 \}$/);
});

test('a mark holds every stream and every hop', (t) => {
  const marks = new Set([
    markOf(1, 1),
    markOf(maxStreams, 1),
    markOf(1, maxHops),
    markOf(maxStreams, maxHops),
  ]);
  t.is(marks.size, 4);
  t.is(Math.max(...marks), 2 ** 32 - 1);
});

test('counts are of payload: the kernel counts IP headers too', (t) => {
  const output = `table netdev t {
	map dport {
		type mark : inet_service
		counter
		elements = { 0x00200001 counter packets 3 bytes 600 : 5000,
			     0xfff00002 counter packets 0 bytes 0 : 5002 }
	}
}
`;
  t.deepEqual(
    [...v4.countsIn(output)],
    [
      [0x00_20_00_01, { packets: 3, bytes: 516 }],
      [0xff_f0_00_02, { packets: 0, bytes: 0 }],
    ],
  );
  t.deepEqual(v6.countsIn(output).get(0x00_20_00_01), { packets: 3, bytes: 456 });
});
