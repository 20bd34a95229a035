import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Scope } from '../support/process.js';

/**
 * As much of a Kubernetes API server as templates need to look up one Deployment: its kind, and the object with this spec.
 * Without a spec there is none. Resolves with its URL.
 */
export async function kubernetesApi(
  scope: Scope,
  path: `${string}/${string}`,
  spec?: Readonly<Record<string, unknown>>,
): Promise<string> {
  const [namespace, name] = path.split('/');
  const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { namespace, name }, spec };
  const kind = { name: 'deployments', kind: 'Deployment', namespaced: true, verbs: ['get', 'list'] };
  const resources = { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'apps/v1', resources: [kind] };
  const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
  const answers: Readonly<Record<string, unknown>> = {
    '/apis/apps/v1': resources,
    [`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`]: spec && deployment,
  };
  const server = createServer(({ url = '' }, response) => {
    const answer = answers[new URL(url, 'http://kubernetes').pathname] ?? missing;
    response.writeHead(answer === missing ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
