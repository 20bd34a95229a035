import type { CallInvocationTransformer } from '@grpc/grpc-js';
import protobuf from 'protobufjs/minimal.js';

/**
 * The protobuf encoding of etcd's transactions (etcdserverpb.Txn of etcd's rpc.proto), as far as the registry uses it.
 * Every new call is a transaction, and the client library's encoding by descriptors takes five times as long. Names
 * are etcd's.
 */

/** Holds while the key was last written at this revision; 0 while there is no such key. */
export interface CompareRevision {
  readonly result: 'Equal';
  readonly target: 'Mod';
  readonly key: Buffer;
  readonly mod_revision: number;
  /** Then all keys of the range must have that revision, and 0 says that there is none. */
  readonly range_end?: Buffer;
}

/** Holds while the key is on this lease. */
export interface CompareLease {
  readonly result: 'Equal';
  readonly target: 'Lease';
  readonly key: Buffer;
  /** Decimal; 0 for none. */
  readonly lease: string;
}

export type Compare = CompareRevision | CompareLease;

export interface Range {
  readonly key: Buffer;
  readonly range_end?: Buffer;
  readonly limit?: number;
}

/** Exactly one of these. */
export interface Operation {
  readonly request_range?: Range;
  readonly request_put?: { readonly key: Buffer; readonly value: Buffer; readonly lease?: string };
  readonly request_delete_range?: { readonly key: Buffer };
  readonly request_txn?: Txn;
}

/** Does `success` if all of `compare` hold, else `failure`. */
export interface Txn {
  readonly compare?: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure?: readonly Operation[];
}

export interface KeyValue {
  readonly key: Buffer;
  readonly mod_revision: number;
  readonly value: Buffer;
  /** Decimal; 0 for none. */
  readonly lease: string;
}

/** The result of one operation. */
export interface OperationResult {
  readonly response_range?: { readonly kvs: readonly KeyValue[] };
  readonly response_put?: { readonly revision: number };
  readonly response_txn?: TxnResult;
}

export interface TxnResult {
  /** 0 in a nested result: etcd fills in only that of the outer one. */
  readonly revision: number;
  /** Decimal; empty in a nested result. */
  readonly clusterId: string;
  readonly succeeded: boolean;
  readonly responses: readonly OperationResult[];
}

/** For the options of an etcd3 client, whose transactions then take a `Txn` and return a `TxnResult`. */
export const txnOnTheWire: CallInvocationTransformer = (call) =>
  call.methodDefinition.path === '/etcdserverpb.KV/Txn'
    ? {
        ...call,
        methodDefinition: {
          ...call.methodDefinition,
          requestSerialize: encodeTxn,
          responseDeserialize: decodeTxnResult,
        },
      }
    : call;

export function encodeTxn(txn: Txn): Buffer {
  return writeTxn(Writer.create(), txn).finish() as Buffer;
}

export function decodeTxnResult(bytes: Buffer): TxnResult {
  return readTxnResult(Reader.create(bytes), bytes.length);
}

const { Reader, Writer } = protobuf;
type Reader = protobuf.Reader;
type Writer = protobuf.Writer;

/** Tags: the number of the field, and how its value is encoded (Protocol Buffers encoding, "Message structure"). */
const whole = (field: number) => field << 3;
const sized = (field: number) => (field << 3) | 2;
const target = { Mod: 2, Lease: 4 };

function writeTxn(writer: Writer, { compare = [], success, failure = [] }: Txn): Writer {
  for (const each of compare) {
    // `result` is left out: equal is 0.
    writer.uint32(sized(1)).fork().uint32(whole(2)).uint32(target[each.target]);
    writer.uint32(sized(3)).bytes(each.key);
    if (each.target === 'Lease') {
      writer.uint32(whole(8)).int64(each.lease);
    } else {
      writer.uint32(whole(6)).int64(each.mod_revision);
    }
    if (each.target === 'Mod' && each.range_end) {
      writer.uint32(sized(64)).bytes(each.range_end);
    }
    writer.ldelim();
  }
  for (const operation of success) {
    writeOperation(writer.uint32(sized(2)).fork(), operation).ldelim();
  }
  for (const operation of failure) {
    writeOperation(writer.uint32(sized(3)).fork(), operation).ldelim();
  }
  return writer;
}

function writeOperation(writer: Writer, operation: Operation): Writer {
  const {
    request_range: range,
    request_put: put,
    request_delete_range: removal,
    request_txn: txn,
  } = operation;
  if (range) {
    writer.uint32(sized(1)).fork().uint32(sized(1)).bytes(range.key);
    if (range.range_end) {
      writer.uint32(sized(2)).bytes(range.range_end);
    }
    if (range.limit) {
      writer.uint32(whole(3)).int64(range.limit);
    }
    return writer.ldelim();
  }
  if (put) {
    writer.uint32(sized(2)).fork().uint32(sized(1)).bytes(put.key).uint32(sized(2)).bytes(put.value);
    if (put.lease) {
      writer.uint32(whole(3)).int64(put.lease);
    }
    return writer.ldelim();
  }
  if (removal) {
    return writer.uint32(sized(3)).fork().uint32(sized(1)).bytes(removal.key).ldelim();
  }
  if (txn) {
    return writeTxn(writer.uint32(sized(4)).fork(), txn).ldelim();
  }
  throw new TypeError('an operation of a transaction is empty');
}

/** Passes the numbers of the fields until `end` to `read`, and skips those for which it returns false. */
function readFields(reader: Reader, end: number, read: (field: number) => boolean): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!read(tag >>> 3)) {
      reader.skipType(tag & 7);
    }
  }
}

const endOfSized = (reader: Reader) => reader.uint32() + reader.pos;

function readTxnResult(reader: Reader, end: number): TxnResult {
  let header = { clusterId: '', revision: 0 };
  let succeeded = false;
  const responses: OperationResult[] = [];
  readFields(reader, end, (field) => {
    if (field === 1) {
      header = readHeader(reader);
    } else if (field === 2) {
      succeeded = reader.bool();
    } else if (field === 3) {
      responses.push(readOperationResult(reader));
    } else {
      return false;
    }
    return true;
  });
  return { ...header, succeeded, responses };
}

function readOperationResult(reader: Reader): OperationResult {
  let result: OperationResult = {};
  readFields(reader, endOfSized(reader), (field) => {
    if (field === 1) {
      result = { response_range: { kvs: readKeyValues(reader) } };
    } else if (field === 2) {
      result = { response_put: { revision: readPutResult(reader) } };
    } else if (field === 4) {
      result = { response_txn: readTxnResult(reader, endOfSized(reader)) };
    } else {
      return false;
    }
    return true;
  });
  return result;
}

/** What a header says of where the answer comes from. */
function readHeader(reader: Reader): { clusterId: string; revision: number } {
  const header = { clusterId: '', revision: 0 };
  readFields(reader, endOfSized(reader), (field) => {
    if (field === 1) {
      header.clusterId = reader.uint64().toString();
    } else if (field === 3) {
      header.revision = readWhole(reader);
    } else {
      return false;
    }
    return true;
  });
  return header;
}

/** The revision of the put. */
function readPutResult(reader: Reader): number {
  let revision = 0;
  readFields(reader, endOfSized(reader), (field) => {
    if (field !== 1) {
      return false;
    }
    ({ revision } = readHeader(reader));
    return true;
  });
  return revision;
}

function readKeyValues(reader: Reader): KeyValue[] {
  const kvs: KeyValue[] = [];
  readFields(reader, endOfSized(reader), (field) => {
    if (field !== 2) {
      return false;
    }
    kvs.push(readKeyValue(reader));
    return true;
  });
  return kvs;
}

function readKeyValue(reader: Reader): KeyValue {
  let key = nothing;
  let mod_revision = 0;
  let value = nothing;
  let lease = '0';
  readFields(reader, endOfSized(reader), (field) => {
    if (field === 1) {
      key = reader.bytes() as Buffer;
    } else if (field === 3) {
      mod_revision = readWhole(reader);
    } else if (field === 5) {
      value = reader.bytes() as Buffer;
    } else if (field === 6) {
      lease = reader.int64().toString();
    } else {
      return false;
    }
    return true;
  });
  return { key, mod_revision, value, lease };
}

const nothing: Buffer = Buffer.alloc(0);

/** Exact up to 2^53, which no revision reaches. */
function readWhole(reader: Reader): number {
  const { high, low } = reader.int64();
  return high * 2 ** 32 + (low >>> 0);
}
