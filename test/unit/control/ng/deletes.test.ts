import test from 'ava';
import { encodeBody, type NgDictionary, parseMessage } from '../../../../services/control/ng/message.js';
import { ng } from '../../../../services/control/ng/protocol.js';

const nothing = "Call-ID not found or tags didn't match";

function deletion(more: NgDictionary) {
  const reading = ng.read(encodeBody({ command: 'delete', 'call-id': 'c', ...more }, 'bencode'));
  if (reading.kind !== 'request') {
    throw new Error(`not a request: ${JSON.stringify(more)}`);
  }
  return reading.request;
}

test('a delete that met nothing did so in either form, and only a delete', (t) => {
  const warning = encodeBody({ result: 'ok', warning: nothing }, 'bencode');
  const error = encodeBody({ result: 'error', 'error-reason': nothing }, 'bencode');
  t.is(deletion({}).judge(warning).kind, 'unchanged');
  t.is(deletion({ flags: ['fatal'] }).judge(error).kind, 'unchanged');
  t.is(deletion({ command: 'answer' }).judge(error).kind, 'error');
});

test('an unknown call is an error to a delete that wants one, as it is at an rtpengine', (t) => {
  const told = (more: NgDictionary) => ({ ...parseMessage(deletion(more).unknownCall()).body });
  t.deepEqual(told({}), { result: 'ok', warning: nothing });
  t.deepEqual(told({ flags: ['fatal'] }), { result: 'error', 'error-reason': nothing });
});

test('a delete may say how long the relay carries on, as a number or as text', (t) => {
  t.is(deletion({ 'delete-delay': 60 }).deleteDelaySeconds, 60);
  t.is(deletion({ 'delete delay': '0' }).deleteDelaySeconds, 0);
  for (const junk of ['', 'soon', -1, ['60']]) {
    t.is(deletion({ 'delete-delay': junk }).deleteDelaySeconds, undefined);
  }
  t.is(deletion({ command: 'query', 'delete-delay': 60 }).deleteDelaySeconds, undefined);
});
