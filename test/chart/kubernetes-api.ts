import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Scope } from '../support/process.js';
import { namespace } from './chart.js';

/** The kinds that templates look up: where their API is, their plural, and whether they are in a namespace. */
const kinds = {
  Deployment: ['/apis/apps/v1', 'deployments', true],
  StatefulSet: ['/apis/apps/v1', 'statefulsets', true],
  Secret: ['/api/v1', 'secrets', true],
  ConfigMap: ['/api/v1', 'configmaps', true],
  APIService: ['/apis/apiregistration.k8s.io/v1', 'apiservices', false],
} as const;

export interface LiveObject {
  readonly kind: keyof typeof kinds;
  readonly metadata: {
    readonly name: string;
    /** That of the release if not given. */
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
}

const versionOf = (api: string) => api.replace(/^\/apis?\//, '');

function resourcesAt(api: string) {
  const resources = Object.entries(kinds)
    .filter(([, [path]]) => path === api)
    .map(([kind, [, name, namespaced]]) => ({ name, kind, namespaced, verbs: ['get', 'list'] }));
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: versionOf(api), resources };
}

function located({ kind, metadata, ...rest }: LiveObject): [path: string, object: unknown] {
  const [api, plural, namespaced] = kinds[kind];
  const { namespace: own = namespace, name } = metadata;
  const path = [api, ...(namespaced ? ['namespaces', own] : []), plural, name].join('/');
  return [path, { apiVersion: versionOf(api), kind, metadata: { namespace: own, ...metadata }, ...rest }];
}

/** As much of a Kubernetes API server as templates need to look these objects up. Resolves with its URL. */
export async function kubernetesApi(scope: Scope, ...objects: readonly LiveObject[]): Promise<string> {
  const missing = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'NotFound', code: 404 };
  const answers = new Map<string, unknown>([
    ...Object.values(kinds).map(([api]) => [api, resourcesAt(api)] as const),
    ...objects.map(located),
  ]);
  const server = createServer(({ url = '' }, response) => {
    const answer = answers.get(new URL(url, 'http://kubernetes').pathname);
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? missing));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
