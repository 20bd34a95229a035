import { PrefixMirror } from '../../../services/etcd/prefix-mirror.js';

/** Lists once: a watch that breaks is not established again. */
const { refresh } = PrefixMirror.prototype;
const listed = new WeakSet<object>();

PrefixMirror.prototype.refresh = function () {
  if (listed.has(this)) {
    return new Promise(() => {});
  }
  listed.add(this);
  return refresh.call(this);
};
