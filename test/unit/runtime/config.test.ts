import test from 'ava';
import { readRelayNodeConfig, relayNodeSettings } from '../../../relay-node/config.js';
import { readSelectionConfig, selectionSettings } from '../../../services/replica/config.js';
import { readConfig, type Settings, unknownVariables } from '../../../services/runtime/config.js';
import { ConfigError } from '../../../services/runtime/config-error.js';

/** For each setting of every process, what is taken and what is refused. */
const address = {
  good: ['127.0.0.1:0', '[::1]:7400', 'localhost:7400'],
  bad: ['7400', ':7400', 'host:65536', 'host:-1', '::1:7400', 'host:1x'],
};
const name = { good: ['a', 'rtp-1'], bad: ['A', '-a', 'a.b', 'a'.repeat(64), ' '] };
const label = { good: ['sip', 'Team_1.holdfast-2'], bad: ['two words', 'a,b', 'a/b', 'a'.repeat(64)] };
const whole = (least: number, most: number) => ({
  good: [`${least}`, `${most}`],
  bad: [`${least - 1}`, `${most + 1}`, '1.5', '1e3', 'ten', ' 10', '0x10', 'Infinity'],
});
const anyText = { good: ['any text', '?'], bad: [] };
const file = { good: ['/etc/tls/tls.crt', 'tls.crt'], bad: ['/'.repeat(4097)] };
const names = {
  good: ['a', 'proxy.example.org,*.proxies.example.org', 'Operator One, other'],
  bad: ['*', '*.', 'a.*.b', 'a*', 'a,,b', 'a'.repeat(254), new Array(65).fill('a').join(',')],
};
const listeners = {
  good: [
    '127.0.0.1:2223',
    '127.0.0.1:2223,[::1]:2223',
    '127.0.0.1:2223,set=edge,zone=a,label=tier=1,label=x=,[::1]:2223,set=core',
  ],
  bad: [
    ...['2223', 'localhost:2223', '127.0.0.1:65536', '127.0.0.1:1,', ',', 'set=edge'],
    ...[
      '127.0.0.1:1,set=',
      '127.0.0.1:1,set=A',
      '127.0.0.1:1,set=a,set=b',
      '127.0.0.1:1,zone=',
      '127.0.0.1:1,tone=a',
    ],
    ...[
      '127.0.0.1:1,label=',
      '127.0.0.1:1,label=a',
      '127.0.0.1:1,label=a=1,label=a=2',
      `127.0.0.1:1,zone=${'z'.repeat(64)}`,
    ],
    Array.from({ length: 9 }, (_, i) => `127.0.0.1:${i + 1}`).join(','),
  ],
};
const networks = {
  good: ['127.0.0.1', '10.0.0.0/8,2001:db8::/32'],
  bad: ['any', '10.0.0.0/33', '10.0.0/8', '::/129', '10.0.0.0/', ','],
};

const values: Record<string, { good: readonly string[]; bad: readonly string[] }> = {
  HOLDFAST_EXTERNAL_METRICS_LISTEN: address,
  HOLDFAST_EXTERNAL_METRICS_TLS_CERT: file,
  HOLDFAST_EXTERNAL_METRICS_TLS_KEY: file,
  HOLDFAST_EXTERNAL_METRICS_TLS_CLIENT_CA: file,
  HOLDFAST_EXTERNAL_METRICS_CLIENT_NAMES: {
    good: ['front-proxy-client', 'one,other'],
    bad: ['two words', 'a,,b', 'a'.repeat(254), new Array(17).fill('a').join(',')],
  },
  HOLDFAST_EXTERNAL_METRICS_NAMESPACE: label,
  HOLDFAST_EXTERNAL_METRICS_RELEASE: label,
  HOLDFAST_GRPC_LISTEN: address,
  HOLDFAST_HTTP_LISTEN: address,
  HOLDFAST_GRPC_TLS_CERT: file,
  HOLDFAST_GRPC_TLS_KEY: file,
  HOLDFAST_GRPC_TLS_CLIENT_CA: file,
  HOLDFAST_GRPC_SELECT_NAMES: names,
  HOLDFAST_GRPC_ADMIN_NAMES: names,
  HOLDFAST_GRPC_MAX_CONNECTION_AGE_SECONDS: whole(0, 86_400),
  HOLDFAST_ETCD_CA: file,
  HOLDFAST_ETCD_CERT: file,
  HOLDFAST_ETCD_KEY: file,
  HOLDFAST_PLACEMENT: {
    good: ['least-loaded', 'rendezvous', 'round-robin', 'first-available'],
    bad: ['random', 'LEAST-LOADED', 'least-loaded '],
  },
  HOLDFAST_SETUP_TTL_SECONDS: whole(10, 86_400),
  HOLDFAST_CALL_TTL_SECONDS: whole(10, 86_400),
  HOLDFAST_LINGER_SECONDS: whole(5, 600),
  HOLDFAST_CACHE_ENTRIES: whole(0, 10_000_000),
  HOLDFAST_PROVISIONAL_ENTRIES: whole(0, 10_000_000),
  HOLDFAST_WITHOUT_QUORUM: { good: ['available', 'strict'], bad: ['none', 'Strict'] },
  HOLDFAST_HEP: {
    good: ['homer.example.org:9060', '[2001:db8::1]:9060'],
    bad: ['homer', 'homer:', ':9060', 'udp:homer:9060'],
  },
  HOLDFAST_HEP_ID: whole(0, 4_294_967_295),
  HOLDFAST_HEP_NG: { good: ['on', 'off'], bad: ['yes', 'ON', 'true'] },
  HOLDFAST_PAGE: { good: ['auto', 'on', 'off'], bad: ['yes', 'On', 'true'] },
  HOLDFAST_MASS_LOSS_PERCENT: whole(0, 100),
  HOLDFAST_STOP_DEADLINE_SECONDS: whole(2, 3600),
  HOLDFAST_LEAVE_SECONDS: whole(0, 600),
  HOLDFAST_ETCD: {
    good: ['127.0.0.1:2379', 'http://a:1,https://b.example:65535', 'a:1, b:2', 'http://[::1]:2379'],
    bad: [
      'a',
      'a:',
      'a:0',
      'a:65536',
      'a:99999',
      'ftp://a:1',
      'a:1,,b:2',
      'a:1,',
      'a:1 b:2',
      'http://a:1/path',
      'http://user@a:1',
      Array.from({ length: 10 }, (_, i) => `a${i}:1`).join(','),
    ],
  },
  HOLDFAST_ETCD_USERNAME: anyText,
  HOLDFAST_ETCD_PASSWORD: anyText,
  HOLDFAST_ETCD_TIMEOUT_MS: whole(50, 60_000),
  HOLDFAST_ETCD_PREFIX: {
    good: ['/a', '/holdfast/v1', `/${'a'.repeat(200)}`],
    bad: ['a', '/', '/a/', '/a b', '/é', `/${'a'.repeat(201)}`],
  },
  HOLDFAST_LOG_LEVEL: { good: ['trace', 'silent'], bad: ['loud', 'INFO', '30'] },
  HOLDFAST_RELAY_ID: name,
  HOLDFAST_RELAY_SET: name,
  HOLDFAST_RELAY_KIND: { good: ['builtin', 'rtpengine'], bad: ['kamailio', 'Builtin'] },
  HOLDFAST_RELAY_CONTROL: { ...address, bad: [...address.bad, 'tcp:', 'unix:relative'] },
  HOLDFAST_RELAY_ADVERTISE: address,
  HOLDFAST_RELAY_RTPPROXY_LISTEN: address,
  HOLDFAST_RELAY_RUN: {
    good: ['rtpproxy', 'rtpproxy -f -s  udp:127.0.0.1:22222', '"/opt/my relay/rtpproxy" -d ""'],
    bad: [' ', '""', '"rtpproxy', 'rtpproxy -d"x"'],
  },
  HOLDFAST_RELAY_MEDIA: {
    good: [
      'default=192.0.2.1',
      'a=192.0.2.1,b=2001:db8::1',
      'a=192.0.2.1@203.0.113.9,a=192.0.2.2,a=2001:db8::1',
    ],
    bad: [
      ',',
      'a',
      'a=',
      'a=host',
      'a=192.0.2.1,a=192.0.2.1',
      'a=192.0.2.1@',
      'a=192.0.2.1@::1',
      'a=192.0.2.1@0.0.0.0',
      '=192.0.2.1',
      'a=192.0.2.256',
    ],
  },
  HOLDFAST_RELAY_WEIGHT: whole(0, 10_000),
  HOLDFAST_RELAY_CAPACITY: whole(0, 1_000_000),
  HOLDFAST_RELAY_ZONE: { good: ['eu-1'], bad: ['z'.repeat(64)] },
  HOLDFAST_RELAY_LABELS: {
    good: ['a=1', 'a=1,b=', 'a=x=y'],
    bad: ['a', '=1', 'a=1,a=2', 'a=b c', Array.from({ length: 17 }, (_, i) => `l${i}=1`).join(',')],
  },
  HOLDFAST_RELAY_FEATURES: {
    good: ['ice', 'ice, srtp', ''],
    bad: ['ICE', 'a b', Array.from({ length: 65 }, (_, i) => `f${i}`).join(',')],
  },
  HOLDFAST_RELAY_PORT_MIN: whole(1024, 65_534),
  HOLDFAST_RELAY_PORT_MAX: whole(1025, 65_535),
  HOLDFAST_RELAY_PROMPT_DIRECTORY: { good: ['/run/holdfast', ''], bad: ['run/holdfast', '.'] },
  HOLDFAST_RELAY_RECORDING_FORMAT: { good: ['pcap', 'wav', 'wav-channels'], bad: ['mp3', 'WAV'] },
  HOLDFAST_RELAY_RECORDING_DIRECTORY: { good: ['/run/holdfast', ''], bad: ['run/holdfast', '.'] },
  HOLDFAST_RELAY_DTMF_LOG: { good: ['192.0.2.1:9000', '[2001:db8::1]:9000'], bad: ['192.0.2.1', ':9000'] },
  HOLDFAST_RELAY_WEBHOOK: {
    good: ['http://192.0.2.1:8080/calls', 'https://calls.example.org', ''],
    bad: ['calls.example.org', 'ftp://calls.example.org', 'http://me:secret@calls.example.org', 'http://'],
  },
  HOLDFAST_RELAY_DSCP: { good: ['0', '63'], bad: ['64', '-1', 'ef'] },
  HOLDFAST_RELAY_STATE_DIRECTORY: { good: ['/run/holdfast', ''], bad: ['run/holdfast', '.'] },
  HOLDFAST_RELAY_FORWARDING: { good: ['auto', 'kernel', 'userspace'], bad: ['nft', 'Kernel'] },
  HOLDFAST_RELAY_HOLD_TIMEOUT_SECONDS: whole(5, 86_400),
  HOLDFAST_RELAY_SETUP_TIMEOUT_SECONDS: whole(5, 86_400),
  HOLDFAST_RELAY_DELETE_DELAY_SECONDS: whole(0, 3600),
  HOLDFAST_RELAY_IDLE_TIMEOUT_SECONDS: whole(5, 86_400),
  HOLDFAST_DRAIN_DEADLINE_SECONDS: whole(0, 86_400),
  HOLDFAST_NG_LISTEN: listeners,
  HOLDFAST_NG_ALLOW: networks,
  HOLDFAST_NG_RATE: whole(0, 1_000_000),
  HOLDFAST_RTPPROXY_LISTEN: listeners,
  HOLDFAST_RTPPROXY_ALLOW: networks,
  HOLDFAST_RTPPROXY_RATE: whole(0, 1_000_000),
  HOLDFAST_RTPPROXY_NOTIFY: {
    good: ['tcp:192.0.2.1:9000', 'tcp:%%CC_SELF%%:9000, unix:/run/proxy.sock', 'tcp:[2001:db8::1]:9000'],
    bad: ['192.0.2.1:9000', 'tcp:192.0.2.1:0', 'unix:proxy.sock', 'http://192.0.2.1:9000/RPC2'],
  },
  HOLDFAST_RTPPROXY_NOTIFY_LISTEN: address,
};

const processes: Record<string, Settings> = { selection: selectionSettings, 'relay node': relayNodeSettings };
const needed = { HOLDFAST_RELAY_ID: 'r1' };

function problems(settings: Settings, environment: NodeJS.ProcessEnv): readonly string[] {
  try {
    readConfig(settings, environment);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems;
    }
    throw error;
  }
}

for (const [process, settings] of Object.entries(processes)) {
  test(`${process}: every setting takes what is allowed and refuses the rest`, (t) => {
    for (const setting of Object.values(settings)) {
      const known = values[setting.name];
      if (!known) {
        t.fail(`${setting.name} has no examples in this test`);
        continue;
      }
      for (const good of known.good) {
        t.deepEqual(problems(settings, { ...needed, [setting.name]: good }), [], `${setting.name}=${good}`);
      }
      for (const bad of known.bad) {
        const [problem = '', ...others] = problems(settings, { ...needed, [setting.name]: bad });
        t.is(others.length, 0);
        t.true(problem.startsWith(`${setting.name}=`), `${setting.name}=${bad} gave "${problem}"`);
        t.true(problem.includes(setting.allowed), problem);
        t.true(problem.length < 600, problem);
      }
    }
  });

  test(`${process}: nothing need be set but what has no default`, (t) => {
    t.deepEqual(problems(settings, needed), []);
    const empty = Object.fromEntries(Object.values(settings).map(({ name }) => [name, '']));
    t.deepEqual(problems(settings, { ...empty, ...needed }), [], 'an empty variable counts as not set');
  });

  test(`${process}: each variable and flag stands for one setting, and the default is allowed`, (t) => {
    const all = Object.values(settings);
    t.is(new Set(all.map(({ name }) => name)).size, all.length);
    const flags = all.flatMap(({ flag }) => flag?.split(' ')[0] ?? []);
    t.is(new Set(flags).size, flags.length);
    for (const { name, fallback, schema } of all) {
      t.true(name.startsWith('HOLDFAST_'));
      if (fallback) {
        t.true(schema.safeParse(fallback).success, name);
      }
    }
  });
}

test('all problems are reported at once', (t) => {
  const found = problems(relayNodeSettings, { HOLDFAST_RELAY_WEIGHT: 'x', HOLDFAST_ETCD: 'y' });
  t.is(found.length, 3);
  t.regex(found.join('\n'), /HOLDFAST_RELAY_ID is not set; allowed: 1-63 of/);
  t.regex(found.join('\n'), /HOLDFAST_RELAY_WEIGHT="x": allowed: 0-10000/);
  t.regex(found.join('\n'), /HOLDFAST_ETCD="y": allowed: /);
  t.regex(new ConfigError(found).message, /^configuration is wrong:\n {2}HOLDFAST_/);
});

test('values are parsed', (t) => {
  const config = readConfig(relayNodeSettings, {
    HOLDFAST_RELAY_ID: 'r1',
    HOLDFAST_ETCD: ' a:1 , https://b:2',
    HOLDFAST_RELAY_MEDIA: 'a=192.0.2.1@203.0.113.9, b=::1',
    HOLDFAST_RELAY_LABELS: 'x=1,y=',
    HOLDFAST_RELAY_WEIGHT: '007',
    HOLDFAST_RELAY_CONTROL: '[::1]:2223',
  });
  t.deepEqual(config.etcd, ['a:1', 'https://b:2']);
  t.deepEqual(config.media, [
    { name: 'a', address: '192.0.2.1', advertised: '203.0.113.9' },
    { name: 'b', address: '::1', advertised: '::1' },
  ]);
  t.deepEqual({ ...config.labels }, { x: '1', y: '' });
  t.is(config.weight, 7);
  t.deepEqual(config.control, { transport: 'udp', address: { host: '::1', port: 2223 } });
  t.is(config.advertise, undefined);
  t.is(config.etcdUsername, undefined);
});

test('a secret is never shown', (t) => {
  const secret = 's3cret';
  const refusing = { ...selectionSettings.etcdPassword, schema: selectionSettings.placement.schema };
  const hidden = problems({ password: refusing }, { HOLDFAST_ETCD_PASSWORD: secret }).join();
  t.regex(hidden, /^HOLDFAST_ETCD_PASSWORD=\(hidden\): allowed: /);
  for (const url of [`http://user:${secret}@host:2379`, `user:${secret}@host:2379`, `${secret}@host`]) {
    t.false(
      problems(selectionSettings, { HOLDFAST_ETCD: `a:1,${url}` })
        .join()
        .includes(secret),
      url,
    );
  }
});

test('a misspelled variable is noticed', (t) => {
  const environment = { HOLDFAST_ETCDS: 'a:1', HOLDFAST_ETCD: 'a:1', PATH: '/bin' };
  t.deepEqual(unknownVariables(selectionSettings, environment), ['HOLDFAST_ETCDS']);
});

/** Settings that are right by themselves and mean nothing so together. */
const together: readonly (readonly [Record<string, string>, string])[] = [
  [
    { HOLDFAST_RTPPROXY_NOTIFY: 'unix:/a', HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:1' },
    'HOLDFAST_RTPPROXY_NOTIFY_LISTEN is not set; HOLDFAST_RTPPROXY_NOTIFY needs it',
  ],
  [{ HOLDFAST_GRPC_TLS_CERT: 'a' }, 'HOLDFAST_GRPC_TLS_KEY is not set; HOLDFAST_GRPC_TLS_CERT needs it'],
  [{ HOLDFAST_GRPC_TLS_KEY: 'a' }, 'HOLDFAST_GRPC_TLS_CERT is not set; HOLDFAST_GRPC_TLS_KEY needs it'],
  [
    { HOLDFAST_GRPC_TLS_CLIENT_CA: 'a' },
    'HOLDFAST_GRPC_TLS_CERT is not set; HOLDFAST_GRPC_TLS_CLIENT_CA needs it',
  ],
  [
    { HOLDFAST_GRPC_SELECT_NAMES: 'a' },
    'HOLDFAST_GRPC_TLS_CLIENT_CA is not set; HOLDFAST_GRPC_SELECT_NAMES needs it: names are read from certificates',
  ],
  [
    { HOLDFAST_ETCD: 'https://a:1', HOLDFAST_ETCD_KEY: 'a' },
    'HOLDFAST_ETCD_CERT is not set; HOLDFAST_ETCD_KEY needs it',
  ],
  [
    { HOLDFAST_ETCD: 'https://a:1,b:2', HOLDFAST_ETCD_CA: 'a' },
    'HOLDFAST_ETCD="b:2": allowed with HOLDFAST_ETCD_CA: https://HOST:PORT for each member',
  ],
  [
    { HOLDFAST_ETCD_PASSWORD: 'secret' },
    'HOLDFAST_ETCD_USERNAME is not set; HOLDFAST_ETCD_PASSWORD needs it',
  ],
];

test('settings that contradict each other are refused', (t) => {
  const second = { HOLDFAST_RELAY_ID: 'a', HOLDFAST_RELAY_RTPPROXY_LISTEN: '127.0.0.1:1' };
  t.notThrows(() => readRelayNodeConfig(second));
  t.deepEqual(
    t.throws<ConfigError>(() => readRelayNodeConfig({ ...second, HOLDFAST_RELAY_KIND: 'rtpengine' }))
      ?.problems,
    [
      'HOLDFAST_RELAY_RTPPROXY_LISTEN is set for a relay of kind rtpengine: allowed: ADDRESS:PORT, for the built-in relay alone',
    ],
  );
  t.deepEqual(
    t.throws<ConfigError>(() =>
      readRelayNodeConfig({ HOLDFAST_RELAY_ID: 'a', HOLDFAST_RELAY_RUN: 'rtpproxy' }),
    )?.problems,
    [`HOLDFAST_RELAY_RUN is set for a relay of kind builtin: allowed: ${relayNodeSettings.run.allowed}`],
  );
  const third = { HOLDFAST_RELAY_ID: 'a', HOLDFAST_RELAY_CONTROL: 'unix:/a.sock' };
  t.notThrows(() => readRelayNodeConfig({ ...third, HOLDFAST_RELAY_KIND: 'rtpproxy' }));
  t.regex(
    t.throws<ConfigError>(() => readRelayNodeConfig(third))?.problems[0] ?? '',
    /^HOLDFAST_RELAY_CONTROL=unix:\/a\.sock is set for a relay of kind builtin: allowed: /,
  );
  const advertised = { HOLDFAST_RELAY_KIND: 'rtpproxy', HOLDFAST_RELAY_ADVERTISE: '127.0.0.1:1' };
  t.deepEqual(t.throws<ConfigError>(() => readRelayNodeConfig({ ...third, ...advertised }))?.problems, [
    'HOLDFAST_RELAY_CONTROL=unix:/a.sock: HOLDFAST_RELAY_ADVERTISE cannot stand for a Unix socket',
  ]);
  for (const [environment, problem] of together) {
    const error = t.throws<ConfigError>(() => readSelectionConfig(environment), { instanceOf: ConfigError });
    t.deepEqual(error?.problems, [problem]);
    if (!problem.includes('HOLDFAST_ETCD')) {
      continue;
    }
    const relayNode = { HOLDFAST_RELAY_ID: 'a', ...environment };
    t.deepEqual(t.throws<ConfigError>(() => readRelayNodeConfig(relayNode))?.problems, [problem]);
  }
});
