import { Relay as WireRelay } from '../../proto/generated/holdfast/v1/relay.js';
import { SelectResponse, SelectStreamResponse } from '../../proto/generated/holdfast/v1/selection.js';
import type { Binding } from '../domain/binding.js';
import { isVisibleAscii } from '../domain/call.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import { bindingMessage, callStates, freshnesses, origins, relayIdentity } from './replies.js';

/**
 * Field tags of `SelectResponse`, `SelectStreamResponse`, `Binding` and `google.protobuf.Timestamp`: number << 3 | type
 * (0 varint, 2 length-delimited).
 */
const tags = {
  streamed: { requestId: 0x0a, response: 0x12 },
  answer: { binding: 0x0a, origin: 0x10, freshness: 0x18 },
  binding: {
    callId: 0x0a,
    viaBranch: 0x12,
    relay: 0x1a,
    generation: 0x20,
    createTime: 0x2a,
    expireTime: 0x32,
    released: 0x38,
    state: 0x40,
    beginning: 0x52,
  },
  timestamp: { seconds: 0x08, nanos: 0x10 },
} as const;

/** Texts up to this length are written character by character: a call into the runtime costs more. */
const shortText = 40;
/** Upper bound for all fields but the texts and the relay; a Timestamp has at most 13 bytes. */
const restBytes = 96;

/**
 * Encodes answers byte for byte as the generated code would, at a third of its cost: the relay, which is most of an answer
 * and the same in many of them, is encoded once per registration.
 */
export class AnswerBytes {
  readonly #relays = new WeakMap<RegisteredRelay, Uint8Array>();

  /** A `SelectResponse`, or a `LookupResponse`: the two have the same fields. */
  answer(answer: Answer): Buffer {
    const { binding, relay, origin, freshness } = answer;
    if (!isPlain(binding)) {
      return Buffer.from(SelectResponse.encode(answerMessage(answer)).finish());
    }
    const relayBytes = this.#relayOf(binding, relay);
    const { call, beginning } = binding;
    const textBytes = call.callId.length + call.branch.length + beginning.length;
    const out = new Out(textBytes + relayBytes.length + restBytes);
    writeAnswer(out, binding, relayBytes, origins[origin], freshnesses[freshness]);
    return out.bytes();
  }

  /** A `SelectStreamResponse` with that answer. */
  streamed(requestId: string, answer: Answer): Buffer {
    const { binding, relay, origin, freshness } = answer;
    if (!isPlain(binding)) {
      const response = answerMessage(answer);
      return Buffer.from(
        SelectStreamResponse.encode({ requestId, result: { $case: 'response', value: response } }).finish(),
      );
    }
    const relayBytes = this.#relayOf(binding, relay);
    const { call, beginning } = binding;
    const textBytes = requestId.length + call.callId.length + call.branch.length + beginning.length;
    const out = new Out(textBytes + relayBytes.length + restBytes);
    out.tag(tags.streamed.requestId).text(requestId);
    out.tag(tags.streamed.response).nested(() => {
      writeAnswer(out, binding, relayBytes, origins[origin], freshnesses[freshness]);
    });
    return out.bytes();
  }

  #relayOf(binding: Binding, registered: RegisteredRelay | undefined): Uint8Array {
    if (!registered) {
      const gone = bindingMessage(binding, undefined).relay;
      return gone ? WireRelay.encode(gone).finish() : new Uint8Array();
    }
    let bytes = this.#relays.get(registered);
    if (!bytes) {
      bytes = WireRelay.encode(relayIdentity(registered)).finish();
      this.#relays.set(registered, bytes);
    }
    return bytes;
  }
}

/** Like nearly all bindings: texts of visible ASCII, and no moves. */
function isPlain({ call, beginning, moves }: Binding): boolean {
  return moves.length === 0 && isPlainText(call.callId) && isPlainText(beginning);
}

function isPlainText(text: string): boolean {
  return isVisibleAscii(text, text.length);
}

function answerMessage({ binding, relay, origin, freshness }: Answer): SelectResponse {
  return {
    binding: bindingMessage(binding, relay),
    origin: origins[origin],
    freshness: freshnesses[freshness],
  };
}

function writeAnswer(out: Out, binding: Binding, relay: Uint8Array, origin: number, freshness: number): void {
  out.tag(tags.answer.binding).nested(() => {
    const { call } = binding;
    out.tag(tags.binding.callId).text(call.callId);
    if (call.branch !== '') {
      out.tag(tags.binding.viaBranch).text(call.branch);
    }
    out.tag(tags.binding.relay).raw(relay);
    if (binding.generation !== 0) {
      out.tag(tags.binding.generation).varint(binding.generation);
    }
    out.tag(tags.binding.createTime).timestamp(binding.createdAtMs);
    out.tag(tags.binding.expireTime).timestamp(binding.expiresAtMs);
    if (binding.state === 'released') {
      out.tag(tags.binding.released).varint(1);
    }
    out.tag(tags.binding.state).varint(callStates[binding.state]);
    out.tag(tags.binding.beginning).text(binding.beginning);
  });
  out.tag(tags.answer.origin).varint(origin);
  out.tag(tags.answer.freshness).varint(freshness);
}

/** Writes the Protocol Buffers wire format, as far as answers need it. */
class Out {
  readonly #bytes: Buffer;
  /** Space reserved for a length until it is known. */
  readonly #lengthBytes: number;
  #end = 0;

  constructor(mostBytes: number) {
    this.#bytes = Buffer.allocUnsafe(mostBytes);
    this.#lengthBytes = varintBytes(mostBytes);
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end);
  }

  tag(tag: number): this {
    this.#bytes[this.#end++] = tag;
    return this;
  }

  /** @param value a whole number of up to 2^53 */
  varint(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) {
      this.#bytes[this.#end++] = (rest % 128) | 0x80;
    }
    this.#bytes[this.#end++] = rest;
  }

  /** Visible ASCII. */
  text(text: string): void {
    const { length } = text;
    this.varint(length);
    if (length > shortText) {
      this.#bytes.write(text, this.#end, 'latin1');
    } else {
      for (let i = 0; i < length; i++) {
        this.#bytes[this.#end + i] = text.charCodeAt(i);
      }
    }
    this.#end += length;
  }

  raw(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  timestamp(ms: number): void {
    const seconds = Math.floor(ms / 1000);
    const nanos = (Math.floor(ms) - seconds * 1000) * 1_000_000;
    // Zero values are not written (proto3).
    const secondsBytes = seconds > 0 ? 1 + varintBytes(seconds) : 0;
    const nanosBytes = nanos > 0 ? 1 + varintBytes(nanos) : 0;
    this.varint(secondsBytes + nanosBytes);
    if (seconds > 0) {
      this.tag(tags.timestamp.seconds).varint(seconds);
    }
    if (nanos > 0) {
      this.tag(tags.timestamp.nanos).varint(nanos);
    }
  }

  /** What `write` writes, preceded by its length. */
  nested(write: () => void): void {
    const start = this.#end;
    this.#end += this.#lengthBytes;
    write();
    const end = this.#end;
    const length = end - start - this.#lengthBytes;
    this.#end = start;
    this.varint(length);
    if (this.#end < start + this.#lengthBytes) {
      this.#bytes.copyWithin(this.#end, start + this.#lengthBytes, end);
    }
    this.#end += length;
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) {
    bytes++;
  }
  return bytes;
}
