import test from 'ava';
import fc from 'fast-check';
import { formatCommandLine, parseCommandLine } from '../../../services/runtime/command-line.js';
import { holds } from '../../support/property.js';

test('words are separated by blanks, and in double quotes where they have some', (t) => {
  t.deepEqual(parseCommandLine(' rtpproxy -f  -l "" "-n a b" '), ['rtpproxy', '-f', '-l', '', '-n a b']);
  for (const text of ['', ' ', '""', '"" -f', 'rtpproxy "-f', 'rtpproxy -d"x"', 'rtpproxy "a"b']) {
    t.is(parseCommandLine(text), undefined, text);
  }
  t.is(parseCommandLine(formatCommandLine(['rtpproxy', 'say "a"'])), undefined);
});

test('a command line that was written is read again', async (t) => {
  const word = fc.string().map((text) => text.replaceAll('"', ''));
  const program = word.filter((text) => text !== '');
  const property = fc.asyncProperty(program, fc.array(word), async (first, others) => {
    t.deepEqual(parseCommandLine(formatCommandLine([first, ...others])), [first, ...others]);
  });
  await holds(t, property, { runs: 500 });
});
