import { EtcdConnection } from '../../../services/etcd/connection.js';
import type { Compare, Operation, Txn } from '../../../services/etcd/txn-codec.js';

/** Lets a bug rewrite the guards and operations of every transaction on its way to etcd. */
export function rewriteWrites(change: {
  readonly keepsGuard?: (guard: Compare, key: string) => boolean;
  readonly operation?: (operation: Operation) => Operation | undefined;
}): void {
  const { keepsGuard = () => true, operation = (each) => each } = change;
  const txn = EtcdConnection.prototype.txn;
  const rewrite = (op: Operation): Operation => {
    const nested = op.request_txn;
    if (!nested) {
      return op;
    }
    return {
      request_txn: {
        ...nested,
        compare: (nested.compare ?? []).filter((guard) => keepsGuard(guard, guard.key.toString())),
        success: nested.success.flatMap((each) => operation(each) ?? []),
      },
    };
  };
  EtcdConnection.prototype.txn = function (this: EtcdConnection, request: Txn) {
    return txn.call(this, { ...request, success: request.success.map(rewrite) });
  };
}
