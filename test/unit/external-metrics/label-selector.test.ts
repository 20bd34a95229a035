import test from 'ava';
import { LabelSelector } from '../../../services/external-metrics/label-selector.js';

const labels = { set: 'default', release: 'one' };

test('each requirement has to hold', (t) => {
  const matching = [
    '',
    'set=default',
    'set==default',
    'release!=other',
    ' set = default , release=one',
    'zone!=a',
  ];
  const others = ['set=edge', 'set=default,release=other', 'release!=one', 'zone=a', 'set='];
  for (const text of matching) {
    t.true(LabelSelector.parse(text)?.matches(labels), text);
  }
  for (const text of others) {
    t.false(LabelSelector.parse(text)?.matches(labels), text);
  }
});

test('what is not understood is nothing that matches', (t) => {
  for (const text of [
    'set',
    '!set',
    'set in (default)',
    'set=a b',
    '=default',
    'set=default,',
    'set~default',
  ]) {
    t.is(LabelSelector.parse(text), undefined, text);
  }
});
