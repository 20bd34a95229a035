import test from 'ava';
import fc from 'fast-check';
import { rtpproxy } from '../../services/control/rtpproxy/protocol.js';
import { transcripts } from '../support/rtpproxy-transcripts.js';

/** Any bytes are a request, refused in a word, or ignored; and any reply has a meaning. */
function outcome(body: Buffer, reply: Buffer = body): string {
  const reading = rtpproxy.read(body);
  if (reading.kind === 'refused' && !/^E\d{1,2}\n$/.test(reading.reply.toString('latin1'))) {
    throw new Error(`refused with ${reading.reply}`);
  }
  if (reading.kind === 'request') {
    const { request } = reading;
    request.judge(reply);
    if (request.media && !request.parties) {
      throw new Error('media of no call');
    }
    if (request.parties) {
      // What is asked about a call that was read can be written.
      rtpproxy.deleteRequest(request.parties);
      rtpproxy.queryRequest(request.parties);
    }
    if (!request.body.equals(body)) {
      throw new Error('changed on its way');
    }
  }
  return reading.kind;
}

const commands = transcripts.flatMap(({ exchanges }) => exchanges.map(([command]) => command));
const byte = fc.constantFrom(...'ULDQPSRCNIGVXuld0123456789.:;,&%-aswienlrz6 \t\r\n'.split(''), '\0', '\xff');

test('arbitrary bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 40 }), (body, reply) => {
      outcome(Buffer.from(body), Buffer.from(reply));
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('letters, digits and blanks of the protocol in any order', (t) => {
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 80 }), fc.array(byte, { maxLength: 20 }), (body, reply) => {
      outcome(Buffer.from(body.join(''), 'latin1'), Buffer.from(reply.join(''), 'latin1'));
    }),
    { numRuns: 10_000 },
  );
  t.pass();
});

test('real commands with bytes changed, removed and inserted', (t) => {
  const edit = fc.tuple(fc.nat(200), fc.nat(3), fc.array(byte, { maxLength: 4 }));
  fc.assert(
    fc.property(fc.constantFrom(...commands), fc.array(edit, { maxLength: 4 }), (command, edits) => {
      let text = command;
      for (const [at, removed, inserted] of edits) {
        const position = text.length === 0 ? 0 : at % text.length;
        text = text.slice(0, position) + inserted.join('') + text.slice(position + removed);
      }
      outcome(Buffer.from(text, 'latin1'));
    }),
    { numRuns: 10_000 },
  );
  t.pass();
});

test('the largest hostile datagrams are read quickly', (t) => {
  const bodies = [
    'U '.repeat(30_000),
    `U ${'c'.repeat(60_000)}`,
    `U ${'c;z9hG4bK'.repeat(900)} 127.0.0.1 4000 f`,
    `U${'l{'.repeat(4000)} c 127.0.0.1 4000 f`,
    `U${'c0,'.repeat(2700)} c 127.0.0.1 4000 f`,
    `U c 127.0.0.1 4000 ${'f;1'.repeat(2700)}`,
    `U c${'-1'.repeat(4000)} 127.0.0.1 4000 f`,
    ' '.repeat(65_000),
    `V${' && '.repeat(2000)}`,
  ];
  const startedAt = performance.now();
  for (const body of bodies) {
    outcome(Buffer.from(body));
  }
  t.true(performance.now() - startedAt < 2000);
});
