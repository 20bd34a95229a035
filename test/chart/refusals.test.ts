import { testWith } from '../support/requirement.js';
import { refusal, type Values } from './chart.js';

/** Values that the chart rejects, and its error. */
const refused: Readonly<Record<string, readonly [Values, RegExp]>> = {
  'a misspelled value': [{ selection: { replica: 3 } }, /selection.*'replica' not allowed/s],
  'a misspelled section': [{ selektion: {} }, /'selektion' not allowed/],
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
  'an invalid digest': [{ image: { digest: 'latest' } }, /image\/digest/],

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
  'a login for only some clients of etcd': [
    {
      etcd: {
        bundled: { enabled: false },
        endpoints: ['etcd:2379'],
        auth: { selectionSecret: 's' },
      },
    },
    /Set both selectionSecret and relaySecret/,
  ],
  'forwarding in the kernel by rtpengine': [
    {
      relay: { kind: 'rtpengine', forwarding: 'kernel', rtpengine: { image: { repository: 'r', tag: 't' } } },
    },
    /use relay\.rtpengine\.table/,
  ],
  'a DSCP in user space': [{ relay: { dscp: 46 } }, /relay\.dscp \(46\).*relay\.forwarding is userspace/],
  'a DSCP that is none': [{ relay: { dscp: 64 } }, /relay\/dscp/],
  'an etcd quota as large as its volume': [{ etcd: { bundled: { quotaGiB: 8 } } }, /has to be below/],
  'an etcd quota as large as its volume in the pod': [
    { etcd: { bundled: { quotaGiB: 8, persistence: { enabled: false } } } },
    /quotaGiB \(8\) has to be below etcd\.bundled\.persistence\.sizeGiB \(8\)/,
  ],
  'a storage class without volumes': [
    { etcd: { bundled: { persistence: { enabled: false, storageClass: 'fast' } } } },
    /storageClass is "fast" and etcd\.bundled\.persistence\.enabled is false/,
  ],
  'a secret for TLS to etcd without TLS': [
    { etcd: { tls: { clientSecret: 's' } } },
    /etcd\.tls\.clientSecret is set.*set etcd\.tls\.enabled=true/,
  ],
  'a server secret for somebody else’s etcd': [
    {
      etcd: {
        bundled: { enabled: false },
        endpoints: ['https://etcd:2379'],
        tls: { enabled: true, clientSecret: 's', serverSecret: 's' },
      },
    },
    /etcd\.tls\.serverSecret is for the bundled etcd/,
  ],
  'TLS to etcd without a client secret': [
    { etcd: { tls: { enabled: true } } },
    /needs etcd\.tls\.clientSecret/,
  ],
  'TLS to etcd without a server secret': [
    { etcd: { tls: { enabled: true, clientSecret: 's' } } },
    /needs etcd\.tls\.serverSecret/,
  ],
  'no client certificate for an etcd that requires one': [
    { etcd: { tls: { enabled: true, clientSecret: 's', serverSecret: 's', clientCertificate: false } } },
    /asks every client for a certificate/,
  ],

  'TLS without a secret': [{ tls: { enabled: true } }, /tls\.enabled needs tls\.secret/],
  'a TLS secret without TLS': [{ tls: { secret: 's' } }, /set tls\.enabled=true/],
  'certificate names without certificates': [
    { tls: { enabled: true, secret: 's', adminNames: ['operator'] } },
    /set tls\.mutual=true/,
  ],
  'mutual TLS without a certificate for helm test': [
    { tls: { enabled: true, secret: 's', mutual: true } },
    /set tests\.clientSecret, or tests\.enabled=false/,
  ],
  'cert-manager without an issuer': [
    { tls: { enabled: true }, certManager: { enabled: true } },
    /needs certManager\.issuerRef\.name/,
  ],
  'a client certificate for helm test that nobody asks for': [
    { tls: { enabled: true, secret: 's' }, tests: { clientSecret: 's' } },
    /tests\.clientSecret.*set tls\.mutual=true/,
  ],
  'cert-manager with nothing to issue': [
    { certManager: { enabled: true, issuerRef: { name: 'ca' } } },
    /has nothing to issue/,
  ],
  'cert-manager with a secret for everything': [
    { certManager: { enabled: true, issuerRef: { name: 'ca' } }, tls: { enabled: true, secret: 's' } },
    /has nothing to issue.*empty tls\.secret/,
  ],
  'certificates that are renewed before they are issued': [
    {
      certManager: {
        enabled: true,
        issuerRef: { name: 'ca' },
        duration: '1h30m',
        renewBefore: '5400s',
      },
      tls: { enabled: true },
    },
    /certManager\.renewBefore \(5400s\) has to be below certManager\.duration \(1h30m\)/,
  ],

  'an upgrade that cannot start': [
    { selection: { rollingUpdate: { maxUnavailable: 0, maxSurge: 0 } } },
    /set maxSurge=1/,
  ],
  'an upgrade that stops every replica': [
    { selection: { rollingUpdate: { maxUnavailable: 2 } } },
    /rollingUpdate\.maxUnavailable \(2\) would let all 2 replicas go/,
  ],
  'a disruption budget of all replicas': [
    { selection: { podDisruptionBudget: { maxUnavailable: 2 } } },
    /podDisruptionBudget\.maxUnavailable \(2\) would let all 2 replicas go/,
  ],
  'a disruption budget of the minimum of replicas': [
    {
      selection: {
        autoscaling: { enabled: true, minReplicas: 3 },
        podDisruptionBudget: { maxUnavailable: 3 },
      },
    },
    /would let all 3 replicas go/,
  ],
  'a disruption budget of all relays': [
    { relay: { podDisruptionBudget: { maxUnavailable: 2 } } },
    /let all 2 relays go/,
  ],
  'a minimum of replicas above the maximum': [
    { selection: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 4 } } },
    /maxReplicas \(4\) is below minReplicas \(5\)/,
  ],
  'autoscaling on CPU without a CPU request': [
    { selection: { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } } },
    /needs selection\.resources\.requests\.cpu/,
  ],

  'timeouts told at the port of gRPC': [
    { selection: { rtpproxy: { notify: { port: 7400 } } } },
    /selection\.rtpproxy\.notify\.port is 7400, where gRPC or HTTP listens/,
  ],
  'one port for both gateways': [
    { selection: { ng: { enabled: true, port: 22_222 }, rtpproxy: { enabled: true } } },
    /selection\.ng\.port and selection\.rtpproxy\.port are both 22222/,
  ],

  'environment against a value': [
    { selection: { extraEnv: [{ name: 'HOLDFAST_PLACEMENT', value: 'rendezvous' }] } },
    /selection\.extraEnv has HOLDFAST_PLACEMENT, which the chart sets/,
  ],
  'environment against the address of a relay': [
    { relay: { extraEnv: [{ name: 'POD_IP', value: '192.0.2.1' }] } },
    /relay\.extraEnv has POD_IP, which the chart sets/,
  ],
  'peers of network policies that are off': [
    { networkPolicy: { enabled: false, proxies: [{ ipBlock: { cidr: '192.0.2.0/24' } }] } },
    /networkPolicy\.proxies names.*set networkPolicy\.enabled=true/,
  ],

  'a grace period shorter than the shutdown of a replica': [
    { selection: { terminationGracePeriodSeconds: 24 } },
    /selection\.terminationGracePeriodSeconds \(24\) is too short.* is 25/,
  ],
  'a grace period shorter than the drain of a relay': [
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
  'rtpengine’s image for the built-in relay': [
    { relay: { rtpengine: { image: { repository: 'r', tag: 't' } } } },
    /relay\.kind is builtin: set relay\.kind=rtpengine/,
  ],
  'forwarding in the kernel without the privilege': [
    { relay: { kind: 'rtpengine', rtpengine: { image: { repository: 'r', tag: 't' }, table: 0 } } },
    /relay\.rtpengine\.table \(0\).*relay\.rtpengine\.securityContext/,
  ],
  'an interface that rtpengine does not have': [
    {
      relay: {
        kind: 'rtpengine',
        media: { internal: '192.0.2.1' },
        rtpengine: { image: { repository: 'r', tag: 't' }, interfaces: ['192.0.2.1', 'external/192.0.2.2'] },
      },
    },
    /relay\.media has the interface "internal", and relay\.rtpengine\.interfaces only default, external/,
  ],
  'more calls than the media ports suffice for': [
    { relay: { capacity: 2501 } },
    /relay\.capacity \(2501\) is above 2500.*30000-39999.*4 ports a call/,
  ],
  'a media port range that ends before it begins': [
    { relay: { ports: { mediaMin: 40_000 } } },
    /mediaMax \(39999\) has to be above .* \(40000\)/,
  ],
  'a port in the media port range': [
    { relay: { ports: { http: 30_001 } } },
    /relay\.ports\.http \(30001\) lies among/,
  ],
  'one port for both protocols of a relay': [
    { relay: { ports: { rtpproxy: 2223 } } },
    /relay\.ports\.control and relay\.ports\.rtpproxy are both 2223/,
  ],
  'autoscaling of relays that are on every node': [
    { relay: { workload: 'DaemonSet', autoscaling: { enabled: true } } },
    /relay\.autoscaling\.enabled scales a StatefulSet or a Deployment/,
  ],
  'autoscaling of relays that run elsewhere': [
    { relay: { enabled: false, autoscaling: { enabled: true } } },
    /relay\.autoscaling\.enabled scales .*: set relay\.enabled=true/,
  ],
  'relays that wait for ports of their own node': [
    { relay: { workload: 'Deployment', hostNetwork: true } },
    /relay\.workload=Deployment and relay\.hostNetwork=true/,
  ],
  'an update strategy that a Deployment has not': [
    { relay: { workload: 'Deployment', updateStrategy: 'OnDelete' } },
    /relay\.updateStrategy=OnDelete .* relay\.workload is Deployment/,
  ],
  'fewer relays at most than at least': [
    { relay: { autoscaling: { enabled: true, minReplicas: 5, maxReplicas: 4 } } },
    /relay\.autoscaling\.maxReplicas \(4\) is below minReplicas \(5\)/,
  ],
  'a share of no capacity': [
    {
      relay: {
        kind: 'rtpengine',
        rtpengine: { image: { repository: 'r', tag: 't' } },
        autoscaling: { enabled: true },
      },
    },
    /relay\.autoscaling\.enabled needs relay\.capacity/,
  ],
  'autoscaling of relays that take no calls': [
    { relay: { weight: 0, autoscaling: { enabled: true } } },
    /relay\.weight is 0/,
  ],
  'a metric for nobody': [
    { relay: { autoscaling: { metricsApi: { enabled: true } } } },
    /metricsApi\.enabled is true and relay\.autoscaling\.enabled is false/,
  ],
  'a metric whose readers are not known': [
    { relay: { autoscaling: { enabled: true, metricsApi: { enabled: true } } } },
    /relay\.autoscaling\.metricsApi\.clientCa is empty/,
  ],
  'names without their authority': [
    { relay: { autoscaling: { enabled: true, metricsApi: { clientNames: ['a'] } } } },
    /clientNames is set and clientCa is empty/,
  ],
  'the API of metrics where gRPC listens': [
    { relay: { autoscaling: { enabled: true, metricsApi: { enabled: true, port: 7400 } } } },
    /relay\.autoscaling\.metricsApi\.port is 7400/,
  ],
  'a budget that lets all relays go': [
    { relay: { autoscaling: { enabled: true }, podDisruptionBudget: { maxUnavailable: 2 } } },
    /relay\.podDisruptionBudget\.maxUnavailable \(2\) would let all 2 relays go/,
  ],
  'the same port twice': [{ relay: { ports: { http: 2223 } } }, /are both 2223/],
};

for (const [what, [values, message]] of Object.entries(refused)) {
  testWith(['helm'], `the chart rejects ${what}, and its error says what to change`, async (t) => {
    t.regex(await refusal(values), message);
  });
}
