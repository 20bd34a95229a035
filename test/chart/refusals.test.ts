import { testWith } from '../support/requirement.js';
import { refusal, type Values } from './chart.js';

/** Values that the chart refuses, and what its message has to say. */
const refused: Readonly<Record<string, readonly [Values, RegExp]>> = {
  'a misspelt value': [{ selection: { replica: 3 } }, /selection.*'replica' not allowed/s],
  'a misspelt section': [{ selektion: {} }, /'selektion' not allowed/],
  'a kind of relay that does not exist': [
    { relay: { kind: 'rtpproxy' } },
    /relay\/kind.*'builtin', 'rtpengine'/s,
  ],
  'a number as text': [{ selection: { replicas: '3' } }, /selection\/replicas.*got string, want integer/s],
  'an even number of etcd members': [
    { etcd: { bundled: { replicas: 4 } } },
    /etcd\/bundled\/replicas.*1, 3, 5/s,
  ],
  'an etcd endpoint without a port': [
    { etcd: { bundled: { enabled: false }, endpoints: ['etcd.example.org'] } },
    /etcd\/endpoints\/0/,
  ],
  'a digest that is none': [{ image: { digest: 'latest' } }, /image\/digest/],

  'two etcds': [{ etcd: { endpoints: ['etcd:2379'] } }, /set etcd\.bundled\.enabled=false/],
  'no etcd': [{ etcd: { bundled: { enabled: false } } }, /set etcd\.endpoints/],
  'TLS to plain endpoints': [
    {
      etcd: {
        bundled: { enabled: false },
        endpoints: ['http://etcd:2379'],
        tls: { enabled: true, clientSecret: 's' },
      },
    },
    /TLS needs https:\/\/ endpoints/,
  ],
  'TLS endpoints without TLS': [
    { etcd: { bundled: { enabled: false }, endpoints: ['https://etcd:2379'] } },
    /etcd\.tls\.enabled=true/,
  ],
  'a login to the bundled etcd': [{ etcd: { auth: { relaySecret: 's' } } }, /the bundled etcd has no users/],
  'a login for some of those that etcd asks for one': [
    {
      etcd: {
        bundled: { enabled: false },
        endpoints: ['etcd:2379'],
        auth: { selectionSecret: 's' },
      },
    },
    /Set both selectionSecret and relaySecret/,
  ],
  'an etcd quota as large as its volume': [{ etcd: { bundled: { quotaGiB: 8 } } }, /has to be below/],
  'TLS to etcd without a client secret': [
    { etcd: { tls: { enabled: true } } },
    /needs etcd\.tls\.clientSecret/,
  ],
  'TLS to etcd without a server secret': [
    { etcd: { tls: { enabled: true, clientSecret: 's' } } },
    /needs etcd\.tls\.serverSecret/,
  ],
  'no client certificate for an etcd that asks for one': [
    { etcd: { tls: { enabled: true, clientSecret: 's', serverSecret: 's', clientCertificate: false } } },
    /asks every client for a certificate/,
  ],

  'TLS without a secret': [{ tls: { enabled: true } }, /tls\.enabled needs tls\.secret/],
  'a TLS secret without TLS': [{ tls: { secret: 's' } }, /set tls\.enabled=true/],
  'certificate names without certificates': [
    { tls: { enabled: true, secret: 's', adminNames: ['operator'] } },
    /set tls\.mutual=true/,
  ],
  'mutual TLS that helm test cannot speak': [
    { tls: { enabled: true, secret: 's', mutual: true } },
    /set tests\.clientSecret, or tests\.enabled=false/,
  ],
  'cert-manager without an issuer': [
    { tls: { enabled: true }, certManager: { enabled: true } },
    /needs certManager\.issuerRef\.name/,
  ],
  'cert-manager with nothing to issue': [
    { certManager: { enabled: true, issuerRef: { name: 'ca' } } },
    /has nothing to issue/,
  ],

  'an upgrade that cannot begin': [
    { selection: { rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } } },
    /set maxSurge=1/,
  ],
  'an upgrade that stops every replica': [
    { selection: { rollingUpdate: { maxUnavailable: 2 } } },
    /rollingUpdate\.maxUnavailable \(2\) would let all 2 replicas go/,
  ],
  'a budget of all replicas': [
    { selection: { podDisruptionBudget: { maxUnavailable: 2 } } },
    /podDisruptionBudget\.maxUnavailable \(2\) would let all 2 replicas go/,
  ],
  'a budget of the fewest replicas': [
    {
      selection: {
        autoscaling: { enabled: true, minReplicas: 3 },
        podDisruptionBudget: { maxUnavailable: 3 },
      },
    },
    /would let all 3 replicas go/,
  ],
  'a budget of all relays': [
    { relay: { podDisruptionBudget: { maxUnavailable: 2 } } },
    /let all 2 relays go/,
  ],
  'more replicas at least than at most': [
    { selection: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 4 } } },
    /maxReplicas \(4\) is below minReplicas \(5\)/,
  ],
  'autoscaling by a share of nothing': [
    { selection: { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } } },
    /needs selection\.resources\.requests\.cpu/,
  ],

  'less time to leave than a replica takes': [
    { selection: { terminationGracePeriodSeconds: 19 } },
    /selection\.terminationGracePeriodSeconds \(19\) is too short.* is 20/,
  ],
  'less time to leave than calls may take': [
    { relay: { drainDeadlineSeconds: 3600, terminationGracePeriodSeconds: 3600 } },
    /would cut calls.* is 3615/,
  ],
  'rtpengine without an image': [
    { relay: { kind: 'rtpengine' } },
    /needs relay\.rtpengine\.image\.repository/,
  ],
  'rtpengine without a tag': [
    { relay: { kind: 'rtpengine', rtpengine: { image: { repository: 'r' } } } },
    /needs a tag or a digest/,
  ],
  'media ports that end before they begin': [
    { relay: { ports: { mediaMin: 40_000 } } },
    /mediaMax \(39999\) has to be above .* \(40000\)/,
  ],
  'a port among the media ports': [
    { relay: { ports: { http: 30_001 } } },
    /relay\.ports\.http \(30001\) lies among/,
  ],
  'one port for two': [{ relay: { ports: { http: 2223 } } }, /are both 2223/],
};

for (const [what, [values, message]] of Object.entries(refused)) {
  testWith(['helm'], `the chart refuses ${what}, and says what to change`, async (t) => {
    t.regex(await refusal(values), message);
  });
}
