import test from 'ava';
import { isName, parseName, quote } from '../../../services/domain/name.js';

test('relay ids and set names are DNS labels', (t) => {
  for (const good of ['a', '0', 'r1', 'rtp-1', 'a'.repeat(63), '1--2']) {
    t.is(parseName('id', good), good);
  }
  for (const bad of ['-a', 'a-', 'A', 'a_b', 'a.b', 'a/b', 'a b', 'é', 'a'.repeat(64), 'a\n', '\na']) {
    t.false(isName(bad), JSON.stringify(bad));
  }
});

test('a refusal names the field, the value and what is allowed', (t) => {
  const allowed = "allowed: 1-63 of a-z, 0-9 and '-', not '-' at either end";
  t.throws(() => parseName('set', 'No'), {
    message: `set: "No" is not a DNS label; ${allowed}`,
    code: 'invalid-argument',
  });
  t.throws(() => parseName('relay_id', ''), { message: `relay_id: is empty; ${allowed}` });
});

test('quoted text is one short line', (t) => {
  t.is(quote('a"b\n'), '"a\\"b\\n"');
  t.is(quote('x'.repeat(100), 3), '"xxx"… (100 characters)');
});
