import type { Clock } from '../runtime/clock.js';
import type { HttpAnswer, HttpRoutes } from '../runtime/http-server.js';
import { LabelSelector } from './label-selector.js';

export interface ExternalMetricsDeps {
  /** By relay set, as `relaysInUse` counts them. */
  readonly relaysInUse: () => ReadonlyMap<string, number>;
  /** Why that is not how things are now, or undefined. */
  readonly outdated: () => string | undefined;
  readonly clock: Clock;
}

/** Whose relays they are. */
export interface ExternalMetricsOwner {
  /** The namespace whose autoscalers can ask. */
  readonly namespace: string;
  /** The release's name: with it a release is told apart from others in its namespace. */
  readonly release: string;
}

const groupVersion = 'external.metrics.k8s.io/v1beta1';
const root = `/apis/${groupVersion}`;
const metricName = 'holdfast_relays_in_use';

/**
 * The API of Kubernetes by which a HorizontalPodAutoscaler reads external metrics, with one metric: `holdfast_relays_in_use`, with the
 * labels `set` and `release`. It is asked through the Kubernetes API server, which has authorized the request.
 * Source: k8s.io/metrics/pkg/apis/external_metrics/v1beta1.
 */
export function externalMetricsRoutes(deps: ExternalMetricsDeps, owner: ExternalMetricsOwner): HttpRoutes {
  return ({ path, query }) => {
    if (path === root) {
      return json(200, resources);
    }
    const [namespace, name, ...rest] = path.startsWith(`${root}/namespaces/`)
      ? path.slice(`${root}/namespaces/`.length).split('/')
      : [];
    if (name !== metricName || rest.length > 0) {
      return failure(404, 'NotFound', `there is no ${path}; try ${root}/namespaces/NAMESPACE/${metricName}`);
    }
    const text = query.get('labelSelector') ?? '';
    const selector = LabelSelector.parse(text);
    if (!selector) {
      const allowed = 'KEY=VALUE and KEY!=VALUE, separated by commas';
      return failure(400, 'BadRequest', `labelSelector=${JSON.stringify(text)}: allowed: ${allowed}`);
    }
    const reason = deps.outdated();
    if (reason !== undefined) {
      return failure(503, 'ServiceUnavailable', reason);
    }
    // What another release has is not known here: an autoscaler without an answer changes nothing.
    const items = namespace === owner.namespace ? itemsOf(deps, owner, selector) : [];
    return json(200, { kind: 'ExternalMetricValueList', apiVersion: groupVersion, metadata: {}, items });
  };
}

function itemsOf(
  { relaysInUse, clock }: ExternalMetricsDeps,
  { release }: ExternalMetricsOwner,
  selector: LabelSelector,
) {
  const timestamp = new Date(clock.wallMs()).toISOString();
  return [...relaysInUse()]
    .map(([set, relays]) => ({
      metricName,
      metricLabels: { set, release },
      timestamp,
      // A quantity of Kubernetes, in thousandths.
      value: `${Math.round(relays * 1000)}m`,
    }))
    .filter(({ metricLabels }) => selector.matches(metricLabels));
}

/** What the API server reads to know that the API is there. */
const resources = {
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion,
  resources: [
    { name: metricName, singularName: '', namespaced: true, kind: 'ExternalMetricValueList', verbs: ['get'] },
  ],
};

function failure(code: number, reason: string, message: string): HttpAnswer {
  return json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, code });
}

function json(status: number, value: unknown): HttpAnswer {
  return { status, body: JSON.stringify(value), headers: { 'content-type': 'application/json' } };
}
