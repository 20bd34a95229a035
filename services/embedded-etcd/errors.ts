import { status } from '@grpc/grpc-js';

/** An error that etcd returns as a gRPC status; clients recognize it by exactly this code and text. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError';

  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
  }
}

const answer = (code: status, text: string) => () => new EtcdError(code, `etcdserver: ${text}`);

export const emptyKey = answer(status.INVALID_ARGUMENT, 'key is not provided');
export const keyNotFound = answer(status.INVALID_ARGUMENT, 'key not found');
export const valueProvided = answer(status.INVALID_ARGUMENT, 'value is provided');
export const leaseProvided = answer(status.INVALID_ARGUMENT, 'lease is provided');
export const tooManyOps = answer(status.INVALID_ARGUMENT, 'too many operations in txn request');
export const duplicateKey = answer(status.INVALID_ARGUMENT, 'duplicate key given in txn request');
export const requestTooLarge = answer(status.INVALID_ARGUMENT, 'request is too large');
export const compacted = answer(status.OUT_OF_RANGE, 'mvcc: required revision has been compacted');
export const futureRevision = answer(status.OUT_OF_RANGE, 'mvcc: required revision is a future revision');
export const noSpace = answer(status.RESOURCE_EXHAUSTED, 'mvcc: database space exceeded');
export const leaseNotFound = answer(status.NOT_FOUND, 'requested lease not found');
export const leaseExists = answer(status.FAILED_PRECONDITION, 'lease already exists');
export const leaseTtlTooLarge = answer(status.OUT_OF_RANGE, 'too large lease TTL');
export const authNotEnabled = answer(status.FAILED_PRECONDITION, 'authentication is not enabled');
