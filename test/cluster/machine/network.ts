import { mkdir } from 'node:fs/promises';
import { type ClusterNode, controlPlane, services } from './addresses.js';
import { run, runOn } from './run.js';

const bridge = 'nodes';

/**
 * The control plane's network is this process's own, with a bridge to the network namespace of each node. Nothing is translated:
 * everybody has a route to the pods of every node.
 */
export async function createNetwork(nodes: readonly ClusterNode[]): Promise<void> {
  await mkdir('/run/netns', { recursive: true });
  await run('ip', 'link', 'set', 'lo', 'up');
  await run('ip', 'link', 'add', bridge, 'type', 'bridge');
  await run('ip', 'address', 'add', `${controlPlane}/24`, 'dev', bridge);
  await run('ip', 'link', 'set', bridge, 'up');
  for (const { name } of nodes) {
    await run('ip', 'netns', 'add', name);
    await run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await run('ip', 'link', 'set', name, 'master', bridge, 'up');
  }
  const [first] = nodes;
  if (first) {
    // Whoever is outside reaches Services as a router would have it: by a node that knows them.
    await run('ip', 'route', 'add', services, 'via', first.address);
  }
  for (const node of nodes) {
    await run('ip', 'route', 'add', node.pods, 'via', node.address);
    await runOn(node.name, 'ip', 'link', 'set', 'lo', 'up');
    await runOn(node.name, 'ip', 'address', 'add', `${node.address}/24`, 'dev', 'eth0');
    await runOn(node.name, 'ip', 'link', 'set', 'eth0', 'up');
    await runOn(node.name, 'ip', 'route', 'add', 'default', 'via', controlPlane);
    await runOn(node.name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    for (const other of nodes.filter(({ name }) => name !== node.name)) {
      await runOn(node.name, 'ip', 'route', 'add', other.pods, 'via', other.address);
    }
  }
}
