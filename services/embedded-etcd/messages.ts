import type { Long } from '@grpc/proto-loader';

/**
 * The protobuf messages as they stand after decoding and before encoding. Fields that were not sent are absent;
 * 64-bit numbers come as Long, exact and free of conversions that most fields do not need, and may go out as
 * numbers.
 */
export type Int64 = Long | number;

export interface RangeRequest {
  key?: Buffer;
  range_end?: Buffer;
  limit?: Long;
  revision?: Long;
  sort_order?: number;
  sort_target?: number;
  keys_only?: boolean;
  count_only?: boolean;
  min_mod_revision?: Long;
  max_mod_revision?: Long;
  min_create_revision?: Long;
  max_create_revision?: Long;
}

export interface PutRequest {
  key?: Buffer;
  value?: Buffer;
  lease?: Long;
  prev_kv?: boolean;
  ignore_value?: boolean;
  ignore_lease?: boolean;
}

export interface DeleteRangeRequest {
  key?: Buffer;
  range_end?: Buffer;
  prev_kv?: boolean;
}

export interface Compare {
  result?: number;
  target?: number;
  key?: Buffer;
  range_end?: Buffer;
  version?: Long;
  create_revision?: Long;
  mod_revision?: Long;
  value?: Buffer;
  lease?: Long;
}

export interface RequestOp {
  request_range?: RangeRequest;
  request_put?: PutRequest;
  request_delete_range?: DeleteRangeRequest;
  request_txn?: TxnRequest;
}

export interface TxnRequest {
  compare?: Compare[];
  success?: RequestOp[];
  failure?: RequestOp[];
}

export interface CompactionRequest {
  revision?: Long;
}

/** Added on decoding to the requests that etcd limits in size. */
export interface Sized {
  wireBytes: number;
}

export interface ResponseHeader {
  cluster_id?: Int64;
  member_id?: Int64;
  revision?: number;
  raft_term?: number;
}

export interface KeyValue {
  key: Buffer;
  create_revision?: number;
  mod_revision?: number;
  version?: number;
  value?: Buffer;
  lease?: Long;
}

export interface Event {
  type: number;
  kv: KeyValue;
  prev_kv?: KeyValue;
}

export interface RangeResponse {
  header: ResponseHeader;
  kvs: KeyValue[];
  more: boolean;
  count: number;
}

export interface PutResponse {
  header: ResponseHeader;
  prev_kv?: KeyValue;
}

export interface DeleteRangeResponse {
  header: ResponseHeader;
  deleted: number;
  prev_kvs: KeyValue[];
}

export interface ResponseOp {
  response_range?: RangeResponse;
  response_put?: PutResponse;
  response_delete_range?: DeleteRangeResponse;
  response_txn?: TxnResponse;
}

export interface TxnResponse {
  header: ResponseHeader;
  succeeded: boolean;
  responses: ResponseOp[];
}

export interface WatchCreateRequest {
  key?: Buffer;
  range_end?: Buffer;
  start_revision?: Long;
  progress_notify?: boolean;
  filters?: number[];
  prev_kv?: boolean;
  watch_id?: Long;
  fragment?: boolean;
}

export interface WatchRequest {
  create_request?: WatchCreateRequest;
  cancel_request?: { watch_id?: Long };
  progress_request?: object;
}

export interface WatchResponse {
  header: ResponseHeader;
  watch_id: Int64;
  created?: boolean;
  canceled?: boolean;
  compact_revision?: number;
  cancel_reason?: string;
  fragment?: boolean;
  events?: Event[];
}

export interface LeaseGrantRequest {
  TTL?: Long;
  ID?: Long;
}

export interface LeaseRequest {
  ID?: Long;
}

export interface LeaseTimeToLiveRequest {
  ID?: Long;
  keys?: boolean;
}
