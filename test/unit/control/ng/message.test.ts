import test from 'ava';
import {
  bytes as bytesOf,
  callId,
  command,
  field,
  fromTag,
  hasFlag,
  toTag,
  viaBranch,
} from '../../../../services/control/ng/fields.js';
import {
  encodeBody,
  type NgDictionary,
  NgMessageError,
  parseMessage,
} from '../../../../services/control/ng/message.js';

const bytes = (text: string) => Buffer.from(text, 'latin1');

function refusal(text: string): string {
  try {
    parseMessage(bytes(text));
  } catch (error) {
    if (error instanceof NgMessageError) {
      return error.message;
    }
    throw error;
  }
  throw new Error(`accepted ${text}`);
}

test('a bencode request keeps its bytes', (t) => {
  const message = parseMessage(bytes('d7:command4:pinge'));
  t.is(message.format, 'bencode');
  t.is(command(message.body), 'ping');
  t.is(message.raw.toString(), 'd7:command4:pinge');
});

test('a reply has the format of its request', (t) => {
  const json = parseMessage(bytes('{"command":"ping"}'));
  t.is(json.format, 'json');
  t.is(encodeBody({ result: 'pong' }, json.format).toString(), '{"result":"pong"}');
  t.is(encodeBody({ result: 'pong' }, 'bencode').toString(), 'd6:result4:ponge');
  t.is(encodeBody({ a: [Buffer.from([0xff])] }, 'json').toString(), '{"a":["ÿ"]}');
});

test('JSON is brought to the kinds of values that ng has', (t) => {
  const { body } = parseMessage(bytes('{"a":true,"b":null,"c":1.5,"d":[null,false],"e":{"f":3}}'));
  t.is(JSON.stringify(body), '{"a":1,"c":"1.5","d":[0],"e":{"f":3}}');
});

test('a JSON key cannot reach a prototype', (t) => {
  const { body } = parseMessage(bytes('{"__proto__":{"command":"ping"}}'));
  t.is(command(body), undefined);
});

test('a body must be one dictionary', (t) => {
  const reasons: [string, RegExp][] = [
    ['', /^no payload$/],
    [' de', /^neither/],
    ['l4:pinge', /^neither/],
    ['d7:command4:ping', /^bencode: truncated at byte 16$/],
    ['d7:command4:pingex', /^bencode: trailing bytes/],
    ['{"command":"ping"', /^invalid JSON$/],
    ['{"command":"ping"}x', /^invalid JSON$/],
    [`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, /^JSON nested deeper than 32$/],
    [`{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`, /^JSON nested deeper than 32$/],
  ];
  for (const [bad, reason] of reasons) {
    t.regex(refusal(bad), reason, bad.slice(0, 40));
  }
});

test('the call and its parties, in every spelling', (t) => {
  const bodies: NgDictionary[] = [
    { 'call-id': 'x@y' },
    { 'call-ID': 'x@y' },
    { 'call id': 'x@y' },
    { 'call ID': 'x@y' },
    { 'rtpp-flags': 'trust-address call-id=x@y from-tag=1' },
    { 'rtpp flags': 'call-ID=x@y' },
    { rtpp_flags: ' call-id=x@y' },
    { 'call-id': '', 'rtpp-flags': ' call-id=x@y' },
    { 'rtpp-flags': 'sdp-attr=[audio=[add=[a call-id=z]]] call-id=x@y' },
    { 'rtpp-flags': 'call-id=x@y moh=[mode=sendrecv call-id=z]' },
  ];
  for (const body of bodies) {
    t.is(callId(body), 'x@y', JSON.stringify(body));
  }
  for (const body of [
    { 'rtpp-flags': 'no-call-id=x call-id=' },
    { 'rtpp-flags': 'Call-Id=x' },
    { 'call-id': 7 },
    { call_id: 'x' },
    { 'Call-ID': 'x' },
  ]) {
    t.is(callId(body), undefined, `${JSON.stringify(body)}: no version of rtpengine reads this`);
  }
  const flags = { 'rtpp-flags': 'from-tag=a to-tag=b via-branch=z9hG4bK1' };
  t.deepEqual([fromTag(flags), toTag(flags), viaBranch(flags)], ['a', 'b', 'z9hG4bK1']);
  t.deepEqual(
    [fromTag({ 'from-tag': 'f' }), toTag({ 'to-tag': 't' }), viaBranch({ 'via-branch': 'v' })],
    ['f', 't', 'v'],
  );
});

test('of several names of a call the last counts', (t) => {
  t.is(callId({ 'call-id': 'one', 'call-ID': 'two' }), 'two');
  t.is(callId({ 'call-ID': 'one', 'call-id': 'two' }), 'two');
  t.is(callId({ 'call-id': 'one', 'rtpp-flags': 'call-id=two' }), 'two');
  t.is(callId({ 'rtpp-flags': 'call-id=one call-id=two', 'call-id': 'three' }), 'three');
});

test('names are bytes', (t) => {
  const [utf8, latin1] = [Buffer.from([0xc3, 0xa9]), Buffer.from([0xe9])];
  for (const name of [
    utf8,
    latin1,
    Buffer.from('a b'),
    Buffer.from([0, 0xff, 0x0a]),
    Buffer.alloc(4000, 'x'),
  ]) {
    const { body } = parseMessage(encodeBody({ command: 'offer', 'call-id': name }, 'bencode'));
    t.deepEqual(bytesOf(field(body, 'call-id')), name);
  }
});

test('flags in lists or strings, with dashes or blanks', (t) => {
  t.true(hasFlag({ supports: ['load limit'] }, 'supports', 'load limit'));
  t.true(hasFlag({ supports: 'x,load limit' }, 'supports', 'load limit'));
  t.true(hasFlag({ replace: ['session-connection'] }, 'replace', 'session connection'));
  t.false(hasFlag({ supports: ['load'] }, 'supports', 'load limit'));
  t.false(hasFlag({}, 'supports', 'load limit'));
});
