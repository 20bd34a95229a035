import type { ICompare, IRequestOp, ITxnRequest } from 'etcd3';
import { EtcdConnection } from '../../../services/registry/connection.js';

/** Lets a bug rewrite every guarded write on its way to etcd: what each guards, and what it does. */
export function rewriteWrites(change: {
  readonly keepsGuard?: (guard: ICompare, key: string) => boolean;
  readonly operation?: (operation: IRequestOp) => IRequestOp | undefined;
}): void {
  const { keepsGuard = () => true, operation = (each) => each } = change;
  const txn = EtcdConnection.prototype.txn;
  const rewrite = (op: IRequestOp): IRequestOp => {
    const nested = op.request_txn;
    if (!nested) return op;
    return {
      request_txn: {
        ...nested,
        compare: (nested.compare ?? []).filter((guard) => keepsGuard(guard, String(guard.key ?? ''))),
        success: (nested.success ?? []).flatMap((each) => operation(each) ?? []),
      },
    };
  };
  EtcdConnection.prototype.txn = function (this: EtcdConnection, request: ITxnRequest) {
    return txn.call(this, { ...request, success: (request.success ?? []).map(rewrite) });
  };
}
