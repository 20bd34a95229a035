import test from 'ava';
import { Endpoints } from '../../../services/etcd/endpoints.js';

const member = (ID: string, ...clientURLs: string[]) => ({ ID, clientURLs });

test('members that are not reached are reached where etcd says', (t) => {
  const endpoints = new Endpoints(['10.0.0.1:2379', '10.0.0.2:2379']);
  endpoints.reached('10.0.0.1:2379', 'a');
  endpoints.follow([
    member('a', 'http://10.9.9.1:2379'),
    member('b', 'http://10.0.0.2:2379'),
    member('c', 'http://10.0.0.3:2379'),
  ]);
  t.deepEqual(endpoints.all, ['10.0.0.1:2379', '10.0.0.2:2379', 'http://10.0.0.3:2379']);
  t.is(endpoints.after('10.0.0.2:2379'), 'http://10.0.0.3:2379');
  t.is(endpoints.after('http://10.0.0.3:2379'), '10.0.0.1:2379');
  endpoints.follow([member('d', 'http://10.0.0.4:2379')]);
  t.deepEqual(endpoints.all, ['10.0.0.1:2379', '10.0.0.2:2379', 'http://10.0.0.4:2379']);
  t.is(endpoints.after('http://10.0.0.3:2379'), '10.0.0.1:2379', 'one that is gone');
});

test('a member is looked for where etcd says once it is not reached any more', (t) => {
  const endpoints = new Endpoints(['etcd.example.org:2379']);
  const members = [member('a', 'http://10.0.0.1:2379')];
  endpoints.reached('etcd.example.org:2379', 'a');
  endpoints.follow(members);
  t.deepEqual(endpoints.all, ['etcd.example.org:2379']);
  endpoints.unreached('etcd.example.org:2379');
  endpoints.follow(members);
  t.deepEqual(endpoints.all, ['etcd.example.org:2379', 'http://10.0.0.1:2379']);
});

test('addresses that are no use here, or not safe, are not followed', (t) => {
  const urls = [
    'http://10.0.0.3:2379',
    'https://10.0.0.4:2379',
    'https://localhost:2379',
    'https://127.0.0.1:2379',
    'https://0.0.0.0:2379',
    'https://[::]:2379',
    'unix:///run/etcd',
    'not a url',
    '',
  ];
  const remote = new Endpoints(['https://10.0.0.1:2379']);
  remote.follow([member('b', ...urls)]);
  t.deepEqual(remote.all.slice(1), ['https://10.0.0.4:2379']);
  const local = new Endpoints(['127.0.0.1:2379']);
  local.follow([member('b', 'http://127.0.0.1:3379', 'http://10.0.0.3:2379')]);
  t.deepEqual(local.all.slice(1), ['http://127.0.0.1:3379', 'http://10.0.0.3:2379']);
});

test('learners are not followed, nor more members than a cluster has', (t) => {
  const endpoints = new Endpoints(['10.0.0.1:2379']);
  endpoints.follow([{ ...member('b', 'http://10.0.0.2:2379'), isLearner: true }]);
  t.is(endpoints.all.length, 1);
  endpoints.follow([member('b', ...Array.from({ length: 1000 }, (_, i) => `http://10.0.1.1:${i + 1}`))]);
  t.true(endpoints.all.length < 100);
});
