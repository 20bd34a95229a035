import test from 'ava';
import { type Pod, type Policy, policyRules } from '../../cluster/machine/policy-rules.js';

const namespace = 'sip';

const pod = (name: string, podIP: string, more: { ns?: string; hostNetwork?: boolean } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: more.ns ?? namespace, labels: { app: name } },
  spec: {
    hostNetwork: more.hostNetwork ?? false,
    containers: [{ ports: [{ name: 'grpc', containerPort: 7400 }] }],
  },
  status: { phase: 'Running', podIP },
});

const policy = (app: string, ingress: NonNullable<Policy['spec']['ingress']>): Policy => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: app, namespace },
  spec: { podSelector: { matchLabels: { app } }, policyTypes: ['Ingress'], ingress },
});

const pods = [
  pod('etcd', '10.244.1.2'),
  pod('relay', '10.244.1.3'),
  pod('relay', '10.244.2.3', { ns: 'other' }),
  pod('etcd', '10.100.0.11', { hostNetwork: true }),
];
const namespaces = ['sip', 'other'].map((name) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels: { name } },
}));
const rulesOf = (...policies: readonly Policy[]) =>
  policyRules({ policies, pods, namespaces })
    .split('\n')
    .filter((line) => line.startsWith('-A POD-'));
const fromRelays = { podSelector: { matchLabels: { app: 'relay' } } };

test('a pod that no policy selects gets everything', (t) => {
  t.deepEqual(rulesOf(), []);
  t.deepEqual(rulesOf(policy('nobody', [])), []);
});

test('a selector names the pods of its own namespace', (t) => {
  t.deepEqual(rulesOf(policy('etcd', [{ from: [fromRelays], ports: [{ port: 2379 }] }])), [
    '-A POD-10.244.1.2 -s 10.244.1.3 -p tcp --dport 2379 -j ACCEPT',
    '-A POD-10.244.1.2 -j REJECT',
  ]);
});

test('a selector of namespaces names the pods of others', (t) => {
  const namespaceSelector = { matchLabels: { name: 'other' } };
  t.deepEqual(rulesOf(policy('etcd', [{ from: [{ namespaceSelector, ...fromRelays }] }])), [
    '-A POD-10.244.1.2 -s 10.244.2.3 -j ACCEPT',
    '-A POD-10.244.1.2 -j REJECT',
  ]);
});

test('ports have names and ranges, and a rule without sources is for everybody', (t) => {
  const ports = [{ port: 'grpc' }, { port: 30_000, endPort: 39_999, protocol: 'UDP' }];
  t.deepEqual(rulesOf(policy('etcd', [{ ports }, { from: [{ ipBlock: { cidr: '192.0.2.0/24' } }] }])), [
    '-A POD-10.244.1.2 -p tcp --dport 7400 -j ACCEPT',
    '-A POD-10.244.1.2 -p udp --dport 30000:39999 -j ACCEPT',
    '-A POD-10.244.1.2 -s 192.0.2.0/24 -j ACCEPT',
    '-A POD-10.244.1.2 -j REJECT',
  ]);
});

test('several policies of a pod add up, and a selector that nobody matches admits nobody', (t) => {
  const nobody = { podSelector: { matchLabels: { app: 'nobody' } } };
  const rules = rulesOf(
    policy('etcd', [{ from: [nobody], ports: [{ port: 1 }] }]),
    policy('etcd', [{ ports: [{ port: 2 }] }]),
  );
  t.deepEqual(rules, ['-A POD-10.244.1.2 -p tcp --dport 2 -j ACCEPT', '-A POD-10.244.1.2 -j REJECT']);
});

test('what is not understood is an error, and not a rule that is missing', (t) => {
  const expression = { podSelector: { matchExpressions: [{}] } };
  t.throws(() => rulesOf(policy('etcd', [{ from: [expression] }])), { message: /matchExpressions/ });
  const ipBlock = { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] };
  t.throws(() => rulesOf(policy('etcd', [{ from: [{ ipBlock }] }])), { message: /exceptions/ });
  t.throws(() => rulesOf(policy('etcd', [{ ports: [{ port: 'none' }] }])), { message: /no port none/ });
});
