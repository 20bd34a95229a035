import type { ExecutionContext } from 'ava';
import type { Etcd3 } from 'etcd3';
import type { Answer, MoveRequest } from '../../../services/selection/requests.js';
import type { TestEtcd } from '../../support/etcd.js';
import {
  aRelay,
  eventually,
  newKeyspace,
  putRelay,
  type SelectorOptions,
  startSelector,
  type TestSelector,
} from '../../support/registry.js';

export interface SceneOptions extends SelectorOptions {
  readonly relays?: number;
  readonly replicas?: number;
  /** Sets that have these relays each. */
  readonly sets?: readonly string[];
}

/** Some relays in a keyspace of their own, and as many replicas' selectors as are wanted. */
export async function scene(
  t: ExecutionContext,
  client: Etcd3,
  { endpoint }: TestEtcd,
  { relays = 3, replicas = 2, sets = ['default'], ...options }: SceneOptions = {},
) {
  const { keys = newKeyspace() } = options;
  const registered = sets.flatMap((set) =>
    Array.from({ length: relays }, (_, i) => {
      const id = `r${i + 1}`;
      return aRelay({ id, set, instance: set === 'default' ? `life-of-${id}` : `${set}-life-of-${id}` });
    }),
  );
  for (const relay of registered) {
    await putRelay(client, keys, relay);
  }
  const selectors = await Promise.all(
    Array.from({ length: replicas }, () => startSelector(t, endpoint, { ...options, keys })),
  );
  const [a, b = a] = selectors as [TestSelector, TestSelector?];
  return { keys, registered, selectors, a, b: b as TestSelector };
}

/** Waits until every replica knows that the relay is registered, or not. */
export const known = (selectors: readonly TestSelector[], id: string, instance: string | undefined) =>
  eventually(
    () => selectors.every(({ directory }) => directory.get('default', id)?.relay.instance === instance),
    `news of ${id}`,
  );

/** A request to move the call from its first relay. */
export const aMove = ({
  call,
  ...overrides
}: Partial<MoveRequest> & Pick<MoveRequest, 'call'>): MoveRequest => ({
  call,
  generation: 1,
  reason: 'test',
  by: 'a tester',
  requestId: 'move-1',
  constraints: {},
  ...overrides,
});

/** Of what a binding is made besides where the call is. */
export const lifeOf = ({ binding }: Answer) => {
  const { state, beginning, generation, createdAtMs } = binding;
  return { state, beginning, generation, createdAtMs };
};
