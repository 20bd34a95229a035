import test from 'ava';
import { joinDatagram, splitDatagram } from '../../../../services/control/udp/datagram.js';

const datagram = (text: string) => Buffer.from(text, 'latin1');

test('a datagram is a cookie and a body', (t) => {
  t.deepEqual(splitDatagram(datagram('1_2_3 U a b')), { cookie: '1_2_3', body: Buffer.from('U a b') });
  t.deepEqual(splitDatagram(datagram('c ')), { cookie: 'c', body: Buffer.alloc(0) });
  const body = Buffer.from([0, 1, 0xff, 0x20]);
  t.deepEqual(splitDatagram(joinDatagram('cookie', body)), { cookie: 'cookie', body });
});

test('cookies are 1 to 255 visible bytes', (t) => {
  t.is(splitDatagram(datagram(`${'c'.repeat(255)} de`))?.cookie.length, 255);
  const bad = [
    '',
    ' ',
    'cookie',
    ' de',
    `${'c'.repeat(256)} de`,
    'a\x00b de',
    'a\tb de',
    'a\xe9 de',
    'c\nde',
  ];
  for (const text of bad) {
    t.is(splitDatagram(datagram(text)), undefined, JSON.stringify(text));
  }
});
