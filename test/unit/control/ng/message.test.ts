import test from 'ava';
import {
  callId,
  command,
  fromTag,
  hasFlag,
  toTag,
  viaBranch,
} from '../../../../services/control/ng/fields.js';
import {
  encodeMessage,
  type NgDictionary,
  NgMessageError,
  parseMessage,
} from '../../../../services/control/ng/message.js';

const datagram = (text: string) => Buffer.from(text, 'latin1');

function refusal(text: string): { message: string; cookie: string | undefined } {
  try {
    parseMessage(datagram(text));
  } catch (error) {
    if (error instanceof NgMessageError) {
      return { message: error.message, cookie: error.cookie };
    }
    throw error;
  }
  throw new Error(`accepted ${text}`);
}

test('a bencode request keeps its bytes', (t) => {
  const message = parseMessage(datagram('1_2_3 d7:command4:pinge'));
  t.is(message.cookie, '1_2_3');
  t.is(message.format, 'bencode');
  t.is(command(message.body), 'ping');
  t.is(message.raw.toString(), 'd7:command4:pinge');
});

test('a reply has the format of its request', (t) => {
  const json = parseMessage(datagram('c {"command":"ping"}'));
  t.is(json.format, 'json');
  t.is(encodeMessage('c', { result: 'pong' }, json.format).toString(), 'c {"result":"pong"}');
  t.is(encodeMessage('c', { result: 'pong' }, 'bencode').toString(), 'c d6:result4:ponge');
  t.is(encodeMessage('c', Buffer.from('dxe'), 'json').toString(), 'c dxe', 'bytes go out as they are');
  t.is(encodeMessage('c', { a: [Buffer.from([0xff])] }, 'json').toString(), 'c {"a":["ÿ"]}');
});

test('JSON is brought to the kinds of values that ng has', (t) => {
  const { body } = parseMessage(datagram('c {"a":true,"b":null,"c":1.5,"d":[null,false],"e":{"f":3}}'));
  t.is(JSON.stringify(body), '{"a":1,"c":"1.5","d":[0],"e":{"f":3}}');
});

test('a JSON key cannot reach a prototype', (t) => {
  const { body } = parseMessage(datagram('c {"__proto__":{"command":"ping"}}'));
  t.is(command(body), undefined);
});

test('cookies are 1 to 255 visible bytes', (t) => {
  t.is(parseMessage(datagram(`${'c'.repeat(255)} de`)).cookie.length, 255);
  for (const bad of [
    '',
    ' ',
    'cookie',
    ' de',
    `${'c'.repeat(256)} de`,
    'a\x00b de',
    'a\tb de',
    'a\xe9 de',
    'c\nde',
  ]) {
    t.deepEqual(refusal(bad), { message: 'no cookie', cookie: undefined }, JSON.stringify(bad));
  }
});

test('what follows the cookie must be one dictionary', (t) => {
  const reasons: [string, RegExp][] = [
    ['c ', /^no payload$/],
    ['c  de', /^neither/],
    ['c l4:pinge', /^neither/],
    ['c d7:command4:ping', /^bencode: truncated at byte 16$/],
    ['c d7:command4:pingex', /^bencode: trailing bytes/],
    ['c {"command":"ping"', /^invalid JSON$/],
    ['c {"command":"ping"}x', /^invalid JSON$/],
    [`c ${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, /^JSON nested deeper than 32$/],
    [`c {"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, /^JSON nested deeper than 32$/],
  ];
  for (const [bad, reason] of reasons) {
    const { message, cookie } = refusal(bad);
    t.regex(message, reason, bad.slice(0, 40));
    t.is(cookie, 'c');
  }
});

test('the call and its parties, in every spelling', (t) => {
  const bodies: NgDictionary[] = [
    { 'call-id': 'x@y' },
    { 'call-ID': 'x@y' },
    { 'call id': 'x@y' },
    { 'rtpp-flags': 'trust-address call-id=x@y from-tag=1' },
    { 'rtpp flags': 'call-ID=x@y' },
    { 'call-id': '', 'rtpp-flags': ' call-id=x@y' },
    { 'call-id': 'x@y', 'rtpp-flags': 'call-id=other' },
  ];
  for (const body of bodies) {
    t.is(callId(body), 'x@y', JSON.stringify(body));
  }
  t.is(callId({ 'rtpp-flags': 'no-call-id=x call-id=' }), undefined);
  t.is(callId({ 'call-id': 7 }), undefined);
  t.is(
    callId({ 'call-id': Buffer.from([0x61, 0xff]) }),
    'a\xff',
    'binary ids are shown, to be refused later',
  );
  const flags = { 'rtpp-flags': 'from-tag=a to-tag=b via-branch=z9hG4bK1' };
  t.deepEqual([fromTag(flags), toTag(flags), viaBranch(flags)], ['a', 'b', 'z9hG4bK1']);
  t.deepEqual(
    [fromTag({ 'from-tag': 'f' }), toTag({ 'to-tag': 't' }), viaBranch({ 'via-branch': 'v' })],
    ['f', 't', 'v'],
  );
});

test('flags in lists, with dashes or blanks', (t) => {
  t.true(hasFlag({ supports: ['load limit'] }, 'supports', 'load limit'));
  t.true(hasFlag({ replace: ['session-connection'] }, 'replace', 'session connection'));
  t.false(hasFlag({ supports: 'load limit' }, 'supports', 'load limit'));
  t.false(hasFlag({}, 'supports', 'load limit'));
});
