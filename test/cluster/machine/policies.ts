import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { ClusterNode } from './addresses.js';
import type { KubernetesApi, KubernetesObject } from './kubernetes-api.js';
import { type Pod, type Policy, policyRules } from './policy-rules.js';
import { runOn } from './run.js';

/** Enforces the NetworkPolicies of the cluster on all nodes, which the network plugin does not. */
export class PolicyEnforcer {
  #enforced = '';

  constructor(
    private readonly api: KubernetesApi,
    private readonly nodes: readonly ClusterNode[],
  ) {}

  /** Brings the rules up to date with what there is now. */
  async enforce(): Promise<void> {
    const [policies, pods, namespaces] = await Promise.all([
      this.api.list<Policy>('/apis/networking.k8s.io/v1/networkpolicies'),
      this.api.list<Pod>('/api/v1/pods'),
      this.api.list<KubernetesObject>('/api/v1/namespaces'),
    ]);
    const wanted = policyRules({ policies, pods, namespaces });
    if (wanted === this.#enforced) {
      return;
    }
    for (const { name } of this.nodes) {
      await restore(name, wanted);
      if (this.#enforced === '') {
        await runOn(name, 'iptables', '-w', '-I', 'FORWARD', '-j', 'POLICIES');
      }
    }
    this.#enforced = wanted;
  }
}

async function restore(node: string, rules: string): Promise<void> {
  const child = spawn('nsenter', [`--net=/run/netns/${node}`, 'iptables-restore', '-w', '--noflush']);
  child.stdin.end(rules);
  const [errors, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  if (code !== 0) {
    throw new Error(`iptables-restore on ${node}: ${errors}`);
  }
}
