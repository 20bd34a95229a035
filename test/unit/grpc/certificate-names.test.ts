import test from 'ava';
import { isNamed, namesOf, parseNamePattern } from '../../../services/grpc/certificate-names.js';

test('the names of a certificate are its common name and its DNS names', (t) => {
  const subject = { CN: 'Proxy One' } as never;
  const subjectaltname = 'DNS:a.example.org, IP Address:192.0.2.1, DNS:*.b.example.org, email:x@example.org';
  t.deepEqual(namesOf({ subject, subjectaltname }), ['Proxy One', 'a.example.org', '*.b.example.org']);
  t.deepEqual(namesOf({ subject }), ['Proxy One']);
  t.deepEqual(namesOf({ subject: { CN: ['one', 'other'] } as never }), ['one', 'other']);
  t.deepEqual(namesOf({}), []);
});

test('a value that was made to look like another entry is no name', (t) => {
  const names = (subjectaltname: string) => namesOf({ subjectaltname });
  t.deepEqual(names('URI:"http://x/, DNS:good.example", DNS:real.example'), ['real.example']);
  t.deepEqual(names('DNS:"good.example, DNS:also.example"'), []);
  t.deepEqual(names('URI:"x\\", DNS:good.example"'), []);
  t.deepEqual(names('othername:<unsupported>, DNS:real.example'), ['real.example']);
});

test('a pattern means one name, or all of one label more', (t) => {
  const isMeant = (name: string, text: string) => isNamed([name], [parseNamePattern(text) ?? '']);
  t.true(isMeant('Proxy.Example.org', 'proxy.example.ORG'));
  t.true(isMeant('p1.example.org', '*.example.org'));
  t.false(isMeant('a.p1.example.org', '*.example.org'));
  t.false(isMeant('example.org', '*.example.org'));
  t.false(isMeant('p1.example.org', 'p2.example.org'));
  t.false(isNamed([], ['a']));
  t.true(isNamed(['a', 'b'], ['b']));
});
