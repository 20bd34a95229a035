import test from 'ava';
import { CommandError } from '../../../../../relay-node/control/rtpproxy/command-error.js';
import { readModifiers } from '../../../../../relay-node/control/rtpproxy/modifiers.js';

const plain = {
  isWeak: false,
  isAsymmetric: false,
  isRtp: false,
  isIPv6: false,
  localAddress: undefined,
  addressTowards: undefined,
  sides: [],
  payloadTypes: [] as readonly number[],
};

test('modifiers are read one after the other, each with its value', (t) => {
  t.deepEqual(readModifiers(''), plain);
  t.deepEqual(readModifiers('SC0,8,101w'), {
    ...plain,
    isWeak: true,
    isRtp: true,
    payloadTypes: [0, 8, 101],
  });
  t.deepEqual(readModifiers('6c96'), { ...plain, isRtp: true, isIPv6: true, payloadTypes: [96] });
  t.deepEqual(readModifiers('r127.0.0.9l192.0.2.66c0'), {
    ...plain,
    isRtp: true,
    payloadTypes: [0],
    localAddress: '192.0.2.66',
    addressTowards: '127.0.0.9',
  });
  t.deepEqual(readModifiers('A'), { ...plain, isAsymmetric: true });
  t.deepEqual(readModifiers('EI').sides, ['e', 'i']);
  t.is(readModifiers('R2001:db8::1').addressTowards, '2001:db8::1');
});

test('the first that is wrong, or that the relay does not have, is the reason', (t) => {
  const codes = {
    c: 14,
    'c,': 14,
    eee: 11,
    iei: 12,
    z: 13,
    z0: 13,
    z999: 35,
    z1000: 13,
    q: 35,
    l: 15,
    'l1.2': 15,
  };
  for (const [modifiers, code] of Object.entries({ ...codes, rx: 16, an: 35, n: 35, 'r300.0.0.1': 16 })) {
    t.is(
      t.throws<CommandError>(() => readModifiers(modifiers), { instanceOf: CommandError })?.code,
      code as never,
    );
  }
});
