import test from 'ava';
import fc from 'fast-check';
import { formatAddress, listenError, parseAddress } from '../../../services/runtime/address.js';

test('an address is read as it is written', (t) => {
  t.deepEqual(parseAddress('192.0.2.1:2223'), { host: '192.0.2.1', port: 2223 });
  t.deepEqual(parseAddress('relay.example.org:0'), { host: 'relay.example.org', port: 0 });
  t.deepEqual(parseAddress('[2001:db8::1]:65535'), { host: '2001:db8::1', port: 65_535 });
});

test('anything else is not an address', (t) => {
  for (const bad of [
    '',
    ':',
    'host',
    'host:',
    ':1',
    'host:65536',
    'host:999999',
    'host:-1',
    'host:1.5',
    'host:0x1',
    'host: 1',
    'ho st:1',
    '2001:db8::1:80',
    '[2001:db8::1]',
    '[]:1',
    '[:]:1',
    '[1.2.3.4]:1',
    '[host]:1',
    'host:1\n',
    '\nhost:1',
  ]) {
    t.is(parseAddress(bad), undefined, JSON.stringify(bad));
  }
});

test('an address survives being written and read', (t) => {
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain());
  fc.assert(
    fc.property(host, fc.integer({ min: 0, max: 65_535 }), (each, port) => {
      const address = { host: each, port };
      t.deepEqual(parseAddress(formatAddress(address)), address);
    }),
  );
});

test('a listen error says why, and what to change', (t) => {
  const address = { host: '127.0.0.1', port: 80 };
  const inUse = Object.assign(new Error('listen'), { code: 'EADDRINUSE' });
  t.is(
    listenError('gRPC', address, inUse).message,
    'cannot listen on 127.0.0.1:80 for gRPC: another process has it: stop that one, or choose another port',
  );
  const hidden = new Error(
    'No address added out of total 1 resolved errors: [listen EACCES: permission denied]',
  );
  t.regex(listenError('gRPC', address, hidden).message, /not permitted: choose a port above 1023/);
  t.regex(listenError('gRPC', address, 'odd').message, /for gRPC: odd$/);
});
