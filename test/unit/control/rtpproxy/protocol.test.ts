import test from 'ava';
import { rtpproxy } from '../../../../services/control/rtpproxy/protocol.js';
import type { RtpproxyRequest } from '../../../../services/control/rtpproxy/request.js';
import { transcripts } from '../../../support/rtpproxy-transcripts.js';

function request(text: string): RtpproxyRequest {
  const reading = rtpproxy.read(Buffer.from(text, 'latin1'));
  if (reading.kind !== 'request') {
    throw new Error(`${reading.kind}: ${text}`);
  }
  return reading.request;
}

/** What the sender of something that is no request is told; undefined if nothing. */
function refusal(text: string): string | undefined {
  const reading = rtpproxy.read(Buffer.from(text, 'latin1'));
  return reading.kind === 'refused' ? reading.reply.toString() : undefined;
}

const judged = (command: string, reply: string) => request(command).judge(Buffer.from(reply)).kind;
const text = (bytes: Buffer | undefined) => bytes?.toString('latin1');

test('a command is told apart: what it is for, the call, and the tags', (t) => {
  const cases: [string, string, string | undefined, string | undefined, string | undefined][] = [
    ['Uc0,8,101 call-a@h 127.0.0.1 24000 f;1', 'begin', 'call-a@h', 'f;1', undefined],
    ['U c@h 127.0.0.1 24000 f t', 'begin', 'c@h', 'f', 't'],
    ['U c@h 127.0.0.1 24000 f tcp:192.0.2.1:2000 tag', 'begin', 'c@h', 'f', undefined],
    ['U c@h 127.0.0.1 24000 f t tcp:192.0.2.1:2000 tag', 'begin', 'c@h', 'f', 't'],
    ['uie c@h 127.0.0.1 24000 f;2', 'extend', 'c@h', 'f;2', undefined],
    ['LEI6c0 c@h ::1 24002 f;1 t;1\n', 'answer', 'c@h', 'f;1', 't;1'],
    ['D  c@h\tf   t', 'delete', 'c@h', 'f', 't'],
    ['Dw c@h f', 'delete', 'c@h', 'f', undefined],
    ['Qv c@h f;1 t;1 ttl nrelayed', 'query', 'c@h', 'f;1', 't;1'],
    ['P-1 c@h /tmp/ann session f;1 t;1', 'in-dialog', 'c@h', 'f;1', 't;1'],
    ['S c@h f;1', 'in-dialog', 'c@h', 'f;1', undefined],
    ['Rs c@h f t', 'in-dialog', 'c@h', 'f', 't'],
    ['CP c@h udp:192.0.2.1:20399 f t', 'in-dialog', 'c@h', 'f', 't'],
    ['Na c@h f', 'in-dialog', 'c@h', 'f', undefined],
    ['Ib', 'list', undefined, undefined, undefined],
    ['Gv nsess_created', 'list', undefined, undefined, undefined],
    ['V', 'ping', undefined, undefined, undefined],
    ['VF 20050322', 'ping', undefined, undefined, undefined],
    ['U c@h 127.0.0.1 4000 f && L 127.0.0.1 4002', 'begin', 'c@h', 'f', undefined],
  ];
  for (const [command, act, callId, from, to] of cases) {
    const { parties, ...read } = request(command);
    t.is(read.act, act as typeof read.act, command);
    t.is(text(read.callId), callId, command);
    t.is(text(parties?.fromTag), from, command);
    t.is(text(parties?.toTag), to, command);
    t.is(text(request(command).body), command);
  }
});

test('all branches of a call are one call; another id behind the Call-ID is part of it', (t) => {
  const branch = request('U c@h;z9hG4bKc48 127.0.0.1 4000 f;1');
  t.is(text(branch.callId), 'c@h');
  t.is(text(branch.parties?.callId), 'c@h;z9hG4bKc48');
  t.is(text(request('D c@h;xid7 f t').callId), 'c@h;xid7');
  t.is(text(request('D ;z9hG4bK1 f t').callId), ';z9hG4bK1');
});

test('the streams that Sippy numbers are placed beside the first', (t) => {
  const beside = (callId: string) => request(`U ${callId} 127.0.0.1 4000 f`).joinedCallIds.map(text);
  t.deepEqual(beside('c@h-1'), ['c@h-0']);
  t.deepEqual(beside('c@h-0'), []);
  t.deepEqual(beside('c@h'), []);
  t.deepEqual(beside('4b0a1b3e-0000-4000-8000-123456789012'), []);
  t.deepEqual(request('D c@h-1 f').joinedCallIds, []);
});

test('what a command needs of its relay is read from its modifiers, not from their values', (t) => {
  const needs = (modifiers: string) => request(`U${modifiers} c 127.0.0.1 4000 f`).needs;
  t.deepEqual(needs('IEc0,8'), ['bridge']);
  t.deepEqual(needs('6c96'), ['ipv6']);
  t.deepEqual(needs('EI6'), ['bridge', 'ipv6']);
  t.deepEqual(needs('c0,16,96z60'), []);
  t.deepEqual(needs('l192.0.2.66r2001:db8::e'), []);
  t.deepEqual(needs('iis'), []);
});

test('what is no command gets the number that rtpproxy gives it', (t) => {
  const { exchanges } = transcripts.find(({ name }) => name === 'commands: errors') ?? { exchanges: [] };
  const syntax = /^E(?:[0-9]|18)$/;
  // What only a relay can judge goes to one.
  const relaysOwn = ['Sx c f', 'U a 127.0.0.1 4000 f && Z', 'G nosuch'];
  let seen = 0;
  for (const [command, reply] of exchanges) {
    if (syntax.test(reply) && !relaysOwn.includes(command)) {
      seen++;
      t.is(refusal(command), `${reply}\n`, command);
    }
  }
  t.true(seen > 10);
  t.is(refusal(''), 'E5\n');
  t.is(refusal('U a\0b 127.0.0.1 4000 f'), 'E5\n');
  t.is(refusal(`Q c ${'f '.repeat(40)}`), 'E5\n');
  t.is(refusal(`U ${'c'.repeat(9000)} 127.0.0.1 4000 f`), 'E1\n');
  t.is(refusal('X'), 'E0\n');
  t.is(refusal('V && V'), 'E3\n');
});

test('a reply that went astray is not answered', (t) => {
  for (const reply of ['E50\n', '0\n', '20040107\n', '24190 127.0.0.1\n', '60 0 0 0 0\n']) {
    t.is(rtpproxy.read(Buffer.from(reply)).kind, 'ignored', reply);
  }
});

test('all that real programs have sent is read, and their replies are understood', (t) => {
  for (const { name, exchanges } of transcripts) {
    for (const [command, reply] of exchanges) {
      const reading = rtpproxy.read(Buffer.from(command));
      if (reading.kind === 'request') {
        const verdict = reading.request.judge(Buffer.from(`${reply}\n`));
        const told = `${name}: ${command} -> ${reply}: ${JSON.stringify(verdict)}`;
        const isMedia = 'UL'.includes(reading.request.name);
        t.is(verdict.kind === 'accepted', !/^E\d/.test(reply) && !(isMedia && reply === '0'), told);
      } else {
        t.true(reading.kind === 'refused' && (command === 'X' || /^E\d/.test(reply)), `${name}: ${command}`);
      }
    }
  }
});

test('replies are judged by what they say and by what was asked', (t) => {
  const u = 'U c 127.0.0.1 4000 f';
  const l = 'L c 127.0.0.1 4000 f t';
  t.is(judged(u, '24190 127.0.0.1\n'), 'accepted');
  t.is(judged(u, '24190 ::1 6\n'), 'accepted');
  t.is(judged(u, '24190'), 'accepted');
  t.is(judged(`${u} && L 127.0.0.1 4002`, '24122 127.0.0.1 && -1\n'), 'accepted');
  for (const code of [71, 72, 81, 89, 98, 99, 7, 10]) {
    t.is(judged(u, `E${code}\n`), 'full', `E${code}`);
  }
  for (const code of [11, 12, 35, 36]) {
    t.is(judged(u, `E${code}\n`), 'unsupported', `E${code}`);
  }
  t.is(judged(u, 'E37\n'), 'error');
  t.is(judged(u, '0\n'), 'full');
  t.is(judged(u, 'nonsense'), 'error');
  t.is(judged(u, ''), 'error');
  t.is(judged(l, '0\n'), 'unknown-call');
  t.is(judged(l, 'E7\n'), 'error');
  t.is(judged('D c f t', '0\n'), 'accepted');
  t.is(judged('D c f t', 'E50\n'), 'unchanged');
  t.is(judged('Q c f', 'E50\n'), 'unknown-call');
  t.is(judged('Q c f', '60 0 0 0 0\n'), 'accepted');
  t.is(judged('P c x 0 f', 'E60\n'), 'error');
});

test('its own requests: a delete ends all streams of a call, a query is about one', (t) => {
  const parties = {
    callId: Buffer.from('c;z9hG4bK1'),
    fromTag: Buffer.from('f;1'),
    toTag: Buffer.from('t;1'),
  };
  t.is(text(rtpproxy.deleteRequest(parties).body), 'D c;z9hG4bK1 f t');
  t.is(text(rtpproxy.queryRequest(parties).body), 'Q c;z9hG4bK1 f;1');
  t.is(rtpproxy.callIn(Buffer.from('60 12 30 40 1\n')).packets, 42);
  t.is(rtpproxy.callIn(Buffer.from('E50\n')).packets, 0);
});

test('without a relay each command is answered in numbers', (t) => {
  t.is(text(request('U c 127.0.0.1 4000 f').full()), 'E72\n');
  t.is(text(request('L c 127.0.0.1 4000 f t').unknownCall()), '0\n');
  t.is(text(request('D c f').unknownCall()), '0\n');
  t.is(text(request('D c f').ok()), '0\n');
  t.is(text(request('Q c f').unknownCall()), 'E50\n');
});
