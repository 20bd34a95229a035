/** The addresses of the cluster. They exist only in its own network namespaces. */

/** The control plane, and whoever asks the cluster from outside. */
export const controlPlane = '10.100.0.1';
export const apiServer = `https://${controlPlane}:6443`;
export const services = '10.96.0.0/16';
export const firstService = '10.96.0.1';
export const dnsService = '10.96.0.10';
export const pods = '10.244.0.0/16';

export interface ClusterNode {
  /** node-1, and so on: its name, and that of its network namespace. */
  readonly name: string;
  readonly address: string;
  /** Addresses of its pods. */
  readonly pods: string;
  readonly zone: string;
}

/** @param count at most 9 */
export function nodesOf(count: number): ClusterNode[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `node-${index + 1}`,
    address: `10.100.0.${11 + index}`,
    pods: `10.244.${index + 1}.0/24`,
    zone: `zone-${'abc'[index % 3]}`,
  }));
}
