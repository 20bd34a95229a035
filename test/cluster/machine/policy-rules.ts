import type { KubernetesObject } from './kubernetes-api.js';

type Labels = Readonly<Record<string, string>>;

interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly unknown[];
}

export interface Policy extends KubernetesObject {
  readonly spec: {
    readonly podSelector?: Selector;
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly {
      readonly from?: readonly {
        readonly podSelector?: Selector;
        readonly namespaceSelector?: Selector;
        readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
      }[];
      readonly ports?: readonly {
        readonly protocol?: string;
        readonly port?: number | string;
        readonly endPort?: number;
      }[];
    }[];
  };
}

export interface Pod extends KubernetesObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly hostNetwork?: boolean;
    readonly containers: readonly {
      readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
    }[];
  };
  readonly status: { readonly phase: string; readonly podIP?: string };
}

export interface PolicyView {
  readonly policies: readonly Policy[];
  readonly pods: readonly Pod[];
  readonly namespaces: readonly KubernetesObject[];
}

/** @throws Error for what the chart does not use */
function matches(selector: Selector = {}, labels: Labels = {}): boolean {
  if (selector.matchExpressions) {
    throw new Error('a policy with matchExpressions is not understood');
  }
  return Object.entries(selector.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
}

/**
 * NetworkPolicies for ingress as input of `iptables-restore --noflush`: of the pods that a policy selects, only what one of
 * those policies allows is forwarded to them.
 */
export function policyRules({ policies, pods, namespaces }: PolicyView): string {
  const reachable = pods.filter(({ spec, status }) => {
    return status.podIP && !spec.hostNetwork && /Running|Pending/.test(status.phase);
  });
  const labelsOf = new Map(namespaces.map(({ metadata }) => [metadata.name, metadata.labels]));
  const chains: string[] = [];
  const rules: string[] = [];

  const sources = (policy: Policy, from: NonNullable<Policy['spec']['ingress']>[number]['from']) => {
    if (!from?.length) {
      return [''];
    }
    const addresses = from.flatMap(({ ipBlock, namespaceSelector, podSelector }) => {
      if (ipBlock?.except) {
        throw new Error('a policy with exceptions of an address block is not understood');
      }
      return ipBlock
        ? [ipBlock.cidr]
        : reachable
            .filter(({ metadata }) =>
              namespaceSelector
                ? matches(namespaceSelector, labelsOf.get(metadata.namespace ?? ''))
                : metadata.namespace === policy.metadata.namespace,
            )
            .filter(({ metadata }) => matches(podSelector, metadata.labels))
            .map(({ status }) => status.podIP);
    });
    return [...new Set(addresses)].map((address) => ` -s ${address}`);
  };

  const forPod = (pod: Pod, policy: Policy): string[] =>
    (policy.spec.ingress ?? []).flatMap(({ from, ports = [{}] }) =>
      sources(policy, from).flatMap((source) =>
        ports.map(({ port, endPort, protocol = 'TCP' }) => {
          const number = typeof port === 'string' ? namedPort(pod, port) : port;
          const range = endPort === undefined ? number : `${number}:${endPort}`;
          const to = port === undefined ? '' : ` -p ${protocol.toLowerCase()} --dport ${range}`;
          return `${source}${to}`;
        }),
      ),
    );

  for (const pod of reachable) {
    const ofPod = policies.filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.metadata.namespace && matches(spec.podSelector, pod.metadata.labels),
    );
    if (ofPod.length > 0) {
      const chain = `POD-${pod.status.podIP}`;
      chains.push(`:${chain} - [0:0]`);
      rules.push(`-A POLICIES -d ${pod.status.podIP} -j ${chain}`);
      const allowed = new Set(ofPod.flatMap((policy) => forPod(pod, policy)));
      rules.push(...[...allowed].map((rule) => `-A ${chain}${rule} -j ACCEPT`), `-A ${chain} -j REJECT`);
    }
  }
  const established = '-A POLICIES -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
  return ['*filter', ':POLICIES - [0:0]', ...chains, established, ...rules, 'COMMIT', ''].join('\n');
}

/** @throws Error if the pod has no such port: the policy could never match */
function namedPort({ metadata, spec }: Pod, name: string): number {
  const ports = spec.containers.flatMap(({ ports = [] }) => ports);
  const found = ports.find((port) => port.name === name);
  if (!found) {
    throw new Error(`${metadata.name} has no port ${name}`);
  }
  return found.containerPort;
}
