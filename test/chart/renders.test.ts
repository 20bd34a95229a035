import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { testWith } from '../support/requirement.js';
import { chart, lint, namespace, notes, render, valueFiles } from './chart.js';
import { type Container, containersOf } from './manifest.js';
import { renderTools } from './tools.js';

interface Ingress {
  readonly from?: readonly unknown[];
  readonly ports: readonly { port: number }[];
}

interface Claim {
  readonly spec: { readonly storageClassName?: string };
}

/** Violations of the restricted Pod Security Standard that a value file asks for, by file. */
const exceptions: Readonly<Record<string, RegExp>> = {
  'host-network-rtpengine': /^host namespaces: hostNetwork=true$/,
  'kernel-forwarding':
    /^host namespaces: hostNetwork=true$|must not include "NET_ADMIN"|runAsNonRoot=false|runAsUser=0/,
  everything: /^host namespaces: hostNetwork=true$|must not include "NET_ADMIN"/,
};

test('there are value files for the usual deployments', (t) => {
  const names = [
    'autoscaling',
    'defaults',
    'everything',
    'external-etcd',
    'host-network-rtpengine',
    'kernel-forwarding',
    'relay-autoscaling',
    'tls',
  ];
  t.deepEqual([...valueFiles].sort(), names);
});

for (const file of valueFiles) {
  testWith(['helm'], `${file}: helm lint --strict passes`, async (t) => {
    const { code, output } = await lint(file);
    t.is(code, 0, output);
  });

  testWith(renderTools, `${file}: the API server accepts every object`, async (t) => {
    const { objects, refused } = await render(file);
    t.true(objects.length > 8);
    t.deepEqual(refused, {});
  });

  testWith(renderTools, `${file}: pods pass the restricted Pod Security Standard`, async (t) => {
    const { restricted } = await render(file);
    const reasons = Object.values(restricted).flat();
    t.deepEqual(
      reasons.filter((reason) => !exceptions[file]?.test(reason)),
      [],
    );
    t.is(reasons.length > 0, file in exceptions);
  });

  testWith(renderTools, `${file}: pods follow the common rules`, async (t) => {
    const { pods, containers } = await render(file);
    for (const { spec } of pods) {
      t.false(spec.automountServiceAccountToken, 'no pod asks the Kubernetes API');
      t.false(spec.enableServiceLinks, 'a Service named holdfast would set HOLDFAST_ variables');
      t.is(spec.hostNetwork ?? false, spec.dnsPolicy === 'ClusterFirstWithHostNet');
    }
    for (const { name, securityContext, volumeMounts = [] } of containers) {
      t.true(securityContext.readOnlyRootFilesystem, name);
      t.true(
        volumeMounts.every(({ subPath }) => subPath === undefined),
        'a subPath would not follow its Secret',
      );
    }
  });

  testWith(renderTools, `${file}: every reference has a target`, async (t) => {
    const { objects, pods } = await render(file);
    const selectors = objects.flatMap(({ kind, metadata, spec }) => {
      const selector = kind === 'Service' ? spec?.['selector'] : undefined;
      const target = kind === 'PodDisruptionBudget' ? spec?.['selector'] : spec?.['podSelector'];
      const labels = selector ?? (target as { matchLabels?: object } | undefined)?.matchLabels;
      return labels ? [{ name: `${kind}/${metadata.name}`, labels: Object.entries(labels) }] : [];
    });
    for (const { name, labels } of selectors) {
      const selected = pods.filter(({ metadata }) =>
        labels.every(([key, value]) => metadata.labels[key] === value),
      );
      t.is(selected.length, 1, `${name} selects the pods of one component`);
    }
    const accounts = objects
      .filter(({ kind }) => kind === 'ServiceAccount')
      .map(({ metadata }) => metadata.name);
    for (const { serviceAccountName } of pods.map(({ spec }) => spec)) {
      t.true(serviceAccountName === undefined || accounts.includes(serviceAccountName));
    }
    for (const { kind, metadata } of objects) {
      t.true(metadata.namespace === (kind === 'APIService' ? undefined : namespace));
      t.truthy(metadata.labels['app.kubernetes.io/component']);
    }
  });
}

for (const file of valueFiles) {
  testWith(renderTools, `${file}: the notes name existing objects`, async (t) => {
    const text = await notes(t, file);
    const rendered = await render(file);
    const { names, objects, pods } = rendered;
    const [deployment = ''] = names.flatMap((name) => /^Deployment\/(.*)$/.exec(name)?.[1] ?? []);
    const known = names.map((name) => name.replace(/^\w+/, (kind) => kind.toLowerCase()));
    const named = [...text.matchAll(/\b(deployment|deploy|statefulset|daemonset)\/([\w-]+)/g)];
    t.true(named.length >= 2);
    for (const [, kind, name] of named) {
      t.true(known.includes(`${kind === 'deploy' ? 'deployment' : kind}/${name}`), `${kind}/${name}`);
    }
    const services = objects.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name);
    for (const [, service = ''] of text.matchAll(/([\w-]+)\.sip\.svc:\d+/g)) {
      t.true(services.includes(service), service);
    }
    t.notRegex(text, /<no value>|%!/);
    // What a pod may wait for: its image, and the class of its volume.
    const [image = ''] = rendered.pod('Deployment', deployment).spec.containers.map((each) => each.image);
    t.true(text.includes(image), 'the image that nodes need');
    const [claim] = objects.flatMap(({ spec }) => (spec?.['volumeClaimTemplates'] ?? []) as Claim[]);
    t.is(text.includes('kubectl get storageclass'), claim !== undefined);
    const wanted = claim?.spec.storageClassName;
    t.is(text.includes('no default StorageClass'), claim !== undefined && wanted === undefined);
    t.is(text.includes(`no StorageClass "${wanted}"`), wanted !== undefined);
    // The notes ask for the Secrets that pods use and that neither the chart nor cert-manager makes.
    const issued = [
      ...objects.filter(({ kind }) => kind === 'Certificate').map(({ spec }) => spec?.['secretName']),
      ...objects.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name),
    ];
    const used = pods.flatMap(({ spec }) => [
      ...(spec.volumes ?? []).flatMap(({ secret }) => secret?.secretName ?? []),
      ...[...(spec.initContainers ?? []), ...spec.containers]
        .flatMap(({ env = [] }) => env)
        .flatMap(({ valueFrom }) => valueFrom?.secretKeyRef?.name ?? []),
    ]);
    const asked = /get secret (.*)/.exec(text)?.[1]?.split(' ') ?? [];
    t.deepEqual(asked.sort(), [...new Set(used)].filter((name) => !issued.includes(name)).sort());
  });
}

testWith(
  renderTools,
  'defaults: three etcd members, two replicas, two relays, and their disruption budgets and policies',
  async (t) => {
    const rendered = await render();
    t.deepEqual(rendered.names, [
      'ConfigMap/holdfast-etcd',
      'Deployment/holdfast-selection',
      'NetworkPolicy/holdfast-etcd',
      'NetworkPolicy/holdfast-relay',
      'NetworkPolicy/holdfast-selection',
      'Pod/holdfast-test',
      'Pod/holdfast-test',
      'PodDisruptionBudget/holdfast-etcd',
      'PodDisruptionBudget/holdfast-relay',
      'PodDisruptionBudget/holdfast-selection',
      'Service/holdfast',
      'Service/holdfast-etcd',
      'Service/holdfast-relay',
      'ServiceAccount/holdfast-etcd',
      'ServiceAccount/holdfast-relay',
      'ServiceAccount/holdfast-selection',
      'StatefulSet/holdfast-etcd',
      'StatefulSet/holdfast-relay',
    ]);
    t.is(rendered.find('StatefulSet', 'holdfast-etcd').spec?.['replicas'], 3);
    t.is(rendered.find('StatefulSet', 'holdfast-relay').spec?.['replicas'], 2);
    t.is(rendered.find('Deployment', 'holdfast-selection').spec?.['replicas'], 2);
    t.is(
      rendered.find('Service', 'holdfast').spec?.['clusterIP'],
      'None',
      'clients balance over the pods themselves',
    );
    t.is(rendered.find('Service', 'holdfast-etcd').spec?.['publishNotReadyAddresses'], true);
  },
);

testWith(renderTools, 'the three probes differ, and only readiness depends on etcd', async (t) => {
  const { containers } = await render('everything');
  for (const name of ['selection', 'relay-node']) {
    const probes = containers.find((container) => container.name === name) as Container;
    t.like(probes.startupProbe, { httpGet: { path: '/livez', port: 'http' }, failureThreshold: 60 });
    t.like(probes.livenessProbe, { httpGet: { path: '/livez', port: 'http' }, failureThreshold: 3 });
    t.like(probes.readinessProbe, { httpGet: { path: '/readyz', port: 'http' }, failureThreshold: 1 });
  }
});

testWith(renderTools, 'the grace period of a pod covers its longest shutdown', async (t) => {
  const values = {
    selection: { preStopSeconds: 7, leaveSeconds: 6, stopDeadlineSeconds: 20 },
    relay: { drainDeadlineSeconds: 7200 },
  };
  const rendered = await render('defaults', values);
  const selection = rendered.pod('Deployment', 'holdfast-selection').spec;
  t.is(selection.terminationGracePeriodSeconds, 38);
  t.is(selection.containers[0].lifecycle?.preStop.sleep.seconds, 7);
  t.is(rendered.pod('StatefulSet', 'holdfast-relay').spec.terminationGracePeriodSeconds, 7215);
  t.is(
    (await render('everything')).pod('StatefulSet', 'calls-relay').spec.terminationGracePeriodSeconds,
    700,
    'a longer grace period is used unchanged',
  );
});

testWith(renderTools, 'an upgrade keeps the number of replicas, and stops one relay at a time', async (t) => {
  const rendered = await render();
  t.like(rendered.find('Deployment', 'holdfast-selection').spec, {
    strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
  });
  t.like(rendered.find('StatefulSet', 'holdfast-relay').spec, { updateStrategy: { type: 'RollingUpdate' } });
  for (const name of ['holdfast-etcd', 'holdfast-relay', 'holdfast-selection']) {
    t.is(rendered.find('PodDisruptionBudget', name).spec?.['maxUnavailable'], 1);
  }
});

/** Of a CPU quantity the millicores, of a memory quantity the MiB. @throws Error if it is neither */
function amount(quantity: string | undefined): number {
  const [, number] = /^(\d+)(?:m|Mi)$/.exec(quantity ?? '') ?? [];
  if (number === undefined) {
    throw new Error(`a request of ${quantity}`);
  }
  return Number(number);
}

testWith(renderTools, 'all pods fit a node of 2 cores and 4 GiB, also during an upgrade', async (t) => {
  const rendered = await render();
  const requested = (resource: 'cpu' | 'memory', kind: string, name: string) =>
    containersOf(rendered.pod(kind, name))
      .map(({ resources }) => amount(resources?.requests?.[resource]))
      .reduce((sum, each) => sum + each, 0);
  const all = (resource: 'cpu' | 'memory') =>
    [
      ['StatefulSet', 'holdfast-etcd'],
      ['Deployment', 'holdfast-selection'],
      ['StatefulSet', 'holdfast-relay'],
    ].map(([kind = '', name = '']) => {
      const replicas = Number(rendered.find(kind, name).spec?.['replicas']);
      return replicas * requested(resource, kind, name);
    });
  const [cpu, memory] = (['cpu', 'memory'] as const).map((resource) =>
    all(resource).reduce((sum, each) => sum + each, 0),
  );
  const surge = (resource: 'cpu' | 'memory') => requested(resource, 'Deployment', 'holdfast-selection');
  // A control plane of kubeadm, with its network, requests about 950m of the same two cores.
  t.true(Number(cpu) + surge('cpu') <= 2000 - 950, `${cpu}m and ${surge('cpu')}m`);
  t.true(Number(memory) + surge('memory') <= 3072, `${memory}Mi and ${surge('memory')}Mi`);
  const readme = readFileSync(join(chart, 'README.md'), 'utf8');
  t.true(readme.includes(`| all | ${cpu}m | ${memory}Mi |`), `the README says ${cpu}m and ${memory}Mi`);
});

testWith(renderTools, 'a new chart version alone restarts nothing', async (t) => {
  const { objects } = await render();
  for (const { kind, metadata, spec } of objects.filter(({ spec }) => spec?.['template'])) {
    t.notRegex(JSON.stringify(spec?.['template']), /helm\.sh\/chart/, `${kind}/${metadata.name}`);
  }
});

testWith(renderTools, 'rtpengine outlives its relay node', async (t) => {
  const { spec } = (await render('host-network-rtpengine')).pod('DaemonSet', 'holdfast-relay');
  t.deepEqual(
    spec.initContainers?.map(({ name, restartPolicy }) => [name, restartPolicy]),
    [['rtpengine', 'Always']],
  );
  t.deepEqual(
    spec.containers.map(({ name }) => name),
    ['relay-node'],
  );
  t.true(spec.hostNetwork);
});

testWith(
  renderTools,
  'the kernel forwards for root with one capability, and for nobody by default',
  async (t) => {
    const relayNode = async (file: string, kind: string) => {
      const { spec } = (await render(file)).pod(kind, 'holdfast-relay');
      const { securityContext, env = [] } = spec.containers[0] as Container;
      const set = Object.fromEntries(env.map(({ name, value }) => [name, value]));
      const { HOLDFAST_RELAY_FORWARDING: forwarding, HOLDFAST_RELAY_DSCP: dscp } = set;
      return { securityContext, forwarding, dscp };
    };
    const restricted = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true };
    t.deepEqual(await relayNode('kernel-forwarding', 'DaemonSet'), {
      forwarding: 'kernel',
      dscp: '46',
      securityContext: {
        ...restricted,
        ...{ runAsUser: 0, runAsGroup: 0, runAsNonRoot: false },
        capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
      },
    });
    t.deepEqual(await relayNode('defaults', 'StatefulSet'), {
      forwarding: 'userspace',
      dscp: undefined,
      securityContext: { ...restricted, capabilities: { drop: ['ALL'] } },
    });
  },
);

testWith(renderTools, 'disruption budgets that would have no effect are left out', async (t) => {
  const { names } = await render('host-network-rtpengine');
  t.deepEqual(
    names.filter((name) => name.startsWith('PodDisruptionBudget/')),
    [],
    'one replica, one etcd member, a DaemonSet',
  );
});

testWith(renderTools, 'autoscaling has its bounds, and pods are spread strictly if asked to', async (t) => {
  const rendered = await render('autoscaling');
  t.like(rendered.find('HorizontalPodAutoscaler', 'holdfast-selection').spec, {
    scaleTargetRef: { kind: 'Deployment', name: 'holdfast-selection' },
    minReplicas: 3,
    maxReplicas: 20,
  });
  for (const { spec } of rendered.pods) {
    for (const { whenUnsatisfiable } of spec.topologySpreadConstraints ?? []) {
      t.is(whenUnsatisfiable, 'DoNotSchedule');
    }
  }
});

testWith(renderTools, 'certificates have the names that clients use', async (t) => {
  const rendered = await render('everything');
  const namesOf = (name: string) => rendered.find('Certificate', name).spec?.['dnsNames'] as string[];
  const [lookup] = rendered.hook('test').spec.containers;
  const server = lookup.env?.find(({ name }) => name === 'HOLDFAST_SERVER')?.value ?? '';
  t.true(namesOf('calls-grpc').includes(server.split(':')[0] as string));
  const members = rendered.containers
    .flatMap(({ env = [] }) => env)
    .filter(({ name }) => name === 'HOLDFAST_ETCD')
    .flatMap(({ value = '' }) => value.split(','));
  t.is(new Set(members).size, 5);
  for (const member of members) {
    const { protocol, hostname } = new URL(member);
    t.is(protocol, 'https:');
    t.true(namesOf('calls-etcd-server').includes(hostname.replace(/^[^.]+/, '*')));
  }
  const secrets = rendered.pods
    .flatMap(({ spec }) => spec.volumes ?? [])
    .flatMap(({ secret }) => secret?.secretName ?? []);
  const issued = rendered.objects
    .filter(({ kind }) => kind === 'Certificate')
    .map(({ spec }) => spec?.['secretName']);
  t.deepEqual(
    [...new Set(secrets)].sort(),
    issued.sort(),
    'the issued Secrets are exactly those that are mounted',
  );
});

testWith(renderTools, 'network policies admit only the peers in the values', async (t) => {
  const rendered = await render('everything');
  const ingress = (name: string) => rendered.find('NetworkPolicy', name).spec?.['ingress'] as Ingress[];
  for (const name of ['calls-selection', 'calls-relay', 'calls-etcd']) {
    for (const { from, ports } of ingress(name)) {
      const open = from === undefined;
      const numbers = ports.map(({ port }) => port);
      if (name === 'calls-relay' && numbers.includes(40_000)) {
        t.true(open, 'media comes from anywhere');
      } else if (name === 'calls-etcd' && numbers.includes(2379)) {
        t.true(open, 'relays come from the nodes’ addresses');
      } else if (name === 'calls-selection' && numbers.includes(22_225)) {
        t.true(open, 'rtpproxies outside the cluster tell of timeouts; the gateway has its own list');
      } else if (name === 'calls-selection' && numbers.includes(7443)) {
        t.true(open, 'no selector names the Kubernetes API server; it shows a certificate');
      } else {
        t.false(open, `${name} ${numbers}`);
      }
    }
  }
  const [client] = ((await render()).find('NetworkPolicy', 'holdfast-etcd').spec?.['ingress'] ??
    []) as Ingress[];
  t.is(client?.from?.length, 2, 'selection and relays');
});
