import test from 'ava';
import fc from 'fast-check';
import { resolveSelf } from '../../../../services/control/rtpproxy/notify-socket.js';
import { ownRequest } from '../../../../services/control/rtpproxy/request.js';
import { decodeTag, unwrapNotice, wrapNotice } from '../../../../services/control/rtpproxy/timeout-notice.js';
import { formatStreamAddress, parseStreamAddress } from '../../../../services/control/stream/address.js';

test('a notice comes back as it was, whatever its tag is', (t) => {
  const word = fc.string({ unit: 'binary-ascii', minLength: 1 }).filter((text) => /^[!-~]+$/.test(text));
  fc.assert(
    fc.property(word, (tag) => {
      const notice = { socket: 'tcp:192.0.2.1:9000', tag };
      const wrapped = wrapNotice(notice);
      t.false(/\s/.test(wrapped), 'one word');
      t.deepEqual(unwrapNotice(decodeTag(wrapped) ?? ''), notice);
    }),
  );
});

test('what a relay tells of a key is behind the tag', (t) => {
  const notice = { socket: 'tcp:192.0.2.1:9000', tag: 'D%201' };
  const line = decodeTag(wrapNotice(notice));
  t.deepEqual(unwrapNotice(`${line} 5 10 640 0`), { ...notice, event: ' 5 10 640 0' });
  t.is(unwrapNotice(`${line} 5 10 640`), undefined);
});

test('keys are told under the tag of their sub-command', (t) => {
  const reading = ownRequest('L c 192.0.2.1 4000 f t && M3:1 D1 96 && M4:1 D1').notifying(
    [],
    (tag) => `x${tag}`,
  );
  t.is(
    reading.kind === 'request' && reading.request.body.toString(),
    'L c 192.0.2.1 4000 f t && M3:1 xD1 96 && M4:1 D1',
  );
});

test('tags are URL-decoded; what is no such tag is told apart', (t) => {
  t.is(decodeTag('r%201%2520'), 'r 1%20');
  for (const tag of ['%', 'a%2', '%zz']) {
    t.is(decodeTag(tag), undefined, tag);
  }
  for (const line of ['', 'a', 'a b c', ' a', 'a ', 'a  b']) {
    t.is(unwrapNotice(line), undefined, line);
  }
});

test('sockets are read as rtpproxy reads them, with one name for each', (t) => {
  for (const [text, name] of [
    ['tcp:192.0.2.1:9000', 'tcp:192.0.2.1:9000'],
    ['tcp:[2001:db8::1]:9000', 'tcp:[2001:db8::1]:9000'],
    ['unix:/run/a.sock', 'unix:/run/a.sock'],
    ['/run/a.sock', 'unix:/run/a.sock'],
  ] as const) {
    const socket = parseStreamAddress(text);
    t.is(socket && formatStreamAddress(socket), name);
  }
  for (const text of [
    '',
    'a.sock',
    'tcp:',
    'tcp:192.0.2.1',
    'tcp:192.0.2.1:0',
    'udp:192.0.2.1:1',
    `/${'a'.repeat(107)}`,
  ]) {
    t.is(parseStreamAddress(text), undefined, text);
  }
  t.is(resolveSelf('tcp:%%CC_SELF%%:9000', '192.0.2.7'), 'tcp:192.0.2.7:9000');
  t.is(resolveSelf('tcp:%%CC_SELF%%:9000', '2001:db8::7'), 'tcp:[2001:db8::7]:9000');
});

test('whom a U says to tell, and the same U with other words for it', (t) => {
  const changed = (command: string, notify: readonly string[]) => {
    const reading = ownRequest(command).notifying(notify);
    return reading.kind === 'request' ? reading.request.body.toString() : reading.kind;
  };
  for (const [command, notify, tags] of [
    ['U c 192.0.2.1 4000 f', [], ['f', undefined]],
    ['U c 192.0.2.1 4000 f t', [], ['f', 't']],
    ['U c 192.0.2.1 4000 f tcp:a:1 x', ['tcp:a:1', 'x'], ['f', undefined]],
    ['U c 192.0.2.1 4000 f t tcp:a:1 x', ['tcp:a:1', 'x'], ['f', 't']],
    // Kamailio 5.
    ['U c 192.0.2.1 4000 f t tcp:a:1', ['tcp:a:1'], ['f', 't']],
    ['U c 192.0.2.1 4000 f t http://a:1/RPC2', ['http://a:1/RPC2'], ['f', 't']],
    ['L c 192.0.2.1 4000 f t', [], ['f', 't']],
  ] as const) {
    const request = ownRequest(command);
    t.deepEqual(request.notify, notify, command);
    t.deepEqual(request.tags, tags, command);
  }
  t.is(
    changed('Uc0,8  c 192.0.2.1 4000 f tcp:a:1 x && M101 d', ['unix:/b', 'y']),
    'Uc0,8 c 192.0.2.1 4000 f unix:/b y && M101 d',
  );
  t.is(changed('U c 192.0.2.1 4000 f t tcp:a:1', []), 'U c 192.0.2.1 4000 f t');
  t.is(
    changed('U c 192.0.2.1 4000 f tcp:a:1 x', ['unix:/b', 'y'.repeat(9000)]),
    'refused',
    'too long for a command',
  );
});
