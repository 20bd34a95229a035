import {
  LookupRequest,
  Origin,
  ReleaseRequest,
  SelectRequest,
  SelectResponse,
  SelectStreamRequest,
  SelectStreamResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import type { Calls, Expectation } from './job.js';

const digits = 10;
const placeholder = '0'.repeat(digits);

/** The Call-ID with this number. */
export function callIdOf({ prefix }: Pick<Calls, 'prefix'>, number: number): string {
  return `${prefix}-${String(number).padStart(digits, '0')}@bench.example`;
}

/** The call numbers of a load: always new, or the same in turn. */
export class Numbers {
  #next = 0;

  constructor(private readonly calls: Calls) {}

  next(): number {
    const { from, count } = this.calls;
    const number = from + this.#next++;
    return count === undefined ? number : from + ((number - from) % count);
  }
}

/** A message whose Call-ID and request id are set by overwriting their digits, which costs almost nothing. */
class Template {
  readonly #bytes: Buffer;
  readonly #offsets: number[] = [];

  constructor(message: Uint8Array) {
    this.#bytes = grpcFrame(message);
    for (let at = this.#bytes.indexOf(placeholder); at >= 0; at = this.#bytes.indexOf(placeholder, at + 1)) {
      this.#offsets.push(at);
    }
  }

  fill(number: number): Buffer {
    const bytes = Buffer.from(this.#bytes);
    for (const offset of this.#offsets) {
      let rest = number;
      for (let at = offset + digits - 1; rest > 0; at--) {
        bytes[at] = 0x30 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
    }
    return bytes;
  }
}

/** Length-prefixed message of gRPC over HTTP/2. */
function grpcFrame(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

const service = '/holdfast.v1.SelectionService';

export interface Method {
  readonly path: string;
  request(number: number): Buffer;
  /** Whether an answer's message is as expected. */
  isExpected(message: Buffer, expected: Expectation): boolean;
}

export function unaryMethod(name: 'Select' | 'Lookup' | 'Release' | 'Echo', calls: Calls): Method {
  const callId = callIdOf(calls, 0);
  const message = {
    Select: () => SelectRequest.encode(selectRequest(callId, calls)).finish(),
    Echo: () => SelectRequest.encode(selectRequest(callId, calls)).finish(),
    Lookup: () => LookupRequest.encode(LookupRequest.fromPartial({ callId })).finish(),
    Release: () => ReleaseRequest.encode({ callId, viaBranch: '', set: '', beginning: '' }).finish(),
  }[name]();
  const template = new Template(message);
  return {
    path: name === 'Echo' ? '/bench.Echo/Unary' : `${service}/${name}`,
    request: (number) => template.fill(number),
    isExpected: (bytes, expected) => name !== 'Select' || fits(SelectResponse.decode(bytes), expected),
  };
}

export function streamMethod(name: 'SelectStream' | 'EchoStream', calls: Calls): Method {
  const request = selectRequest(callIdOf(calls, 0), calls);
  const template = new Template(SelectStreamRequest.encode({ request }).finish());
  return {
    path: name === 'EchoStream' ? '/bench.Echo/Stream' : `${service}/${name}`,
    request: (number) => template.fill(number),
    isExpected: (bytes, expected) => {
      const { result } = SelectStreamResponse.decode(bytes);
      return result?.$case === 'response' && fits(result.value, expected);
    },
  };
}

/** Of calls that are known by their number, those in progress are asked for; of the others, each is new. */
function selectRequest(callId: string, { count }: Calls): SelectRequest {
  return {
    callId,
    viaBranch: '',
    set: '',
    requestId: `request-${placeholder}`,
    ttlSeconds: 0,
    excludedRelayIds: [],
    zone: '',
    labels: {},
    inDialog: count !== undefined,
    withCallId: '',
    features: [],
  };
}

function fits({ binding, origin }: SelectResponse, expected: Expectation): boolean {
  if (!binding?.relay?.controlUrl) {
    return false;
  }
  // The origin stays NEW for repetitions of the request that has created the binding.
  return expected.origin === 'existing' || origin === Origin.NEW;
}

/** The number in the request id, which is the first field of a stream's answer. */
export function requestNumber(message: Buffer): number {
  const end = 2 + (message[1] as number);
  let number = 0;
  for (let at = end - digits; at < end; at++) {
    number = number * 10 + (message[at] as number) - 0x30;
  }
  return number;
}
