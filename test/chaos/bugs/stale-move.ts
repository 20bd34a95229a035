import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { RelayDirectory } from '../../../services/registry/relay-directory.js';
import { rewriteWrites } from './transactions.js';

/** Moves a call because an outdated view has lost its relay, and does not check that in the transaction. */
rewriteWrites({
  keepsGuard: (guard, key) => !key.includes('/relays/') || guard.target !== 'Mod' || guard.mod_revision !== 0,
});

const behindMs = 4000;
const returned = new Map<string, number>();
const { get, versionOf } = RelayDirectory.prototype;

function hasNotHeard(set: string, id: string, found: RegisteredRelay | undefined): boolean {
  const key = `${set}/${id}`;
  if (!found) {
    returned.set(key, Number.POSITIVE_INFINITY);
  } else if (returned.get(key) === Number.POSITIVE_INFINITY) {
    returned.set(key, performance.now());
  }
  return performance.now() - (returned.get(key) ?? Number.NEGATIVE_INFINITY) < behindMs;
}

RelayDirectory.prototype.get = function (set, id) {
  const found = get.call(this, set, id);
  return hasNotHeard(set, id, found) ? undefined : found;
};
RelayDirectory.prototype.versionOf = function (set, id) {
  const isAbsent = hasNotHeard(set, id, get.call(this, set, id));
  return isAbsent ? { revision: 0, lease: '0' } : versionOf.call(this, set, id);
};
