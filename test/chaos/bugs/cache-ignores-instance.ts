import { originOf } from '../../../services/domain/binding.js';
import { BindingCache } from '../../../services/selection/cache/binding-cache.js';
import { Selector } from '../../../services/selection/selector.js';

/** Answers cached bindings without checking that the relay's instance is still registered. */
let cache: BindingCache | undefined;
const { remember } = BindingCache.prototype;
const { select } = Selector.prototype;

BindingCache.prototype.remember = function (stored, askedAtMs) {
  cache = this;
  remember.call(this, stored, askedAtMs);
};
Selector.prototype.select = function (request) {
  const stored = cache?.fresh(request.call);
  if (!stored) {
    return select.call(this, request);
  }
  const { binding } = stored;
  const origin = originOf(binding, request.requestId);
  return Promise.resolve({ binding, relay: undefined, origin, freshness: 'fresh' });
};
