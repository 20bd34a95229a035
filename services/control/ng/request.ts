import type { Act, CallParties, ControlRequest, Verdict } from '../protocol.js';
import { bytes, command, field, hasFlag, wholeNumber } from './fields.js';
import { encodeBody, errorReply, type NgDictionary, type NgMessage, type NgValue } from './message.js';
import { featuresFor } from './needs.js';
import { deletedNothing, judgeReply } from './reply.js';

const acts: Readonly<Record<string, Act>> = {
  ping: 'ping',
  list: 'list',
  statistics: 'list',
  offer: 'begin',
  publish: 'begin',
  create: 'begin',
  transform: 'begin',
  answer: 'answer',
  delete: 'delete',
  query: 'query',
};

/**
 * Commands that no call can begin with, whatever the version of rtpengine: of a call that has no relay they need not be
 * asked. They are spelled with the words that follow for an unknown call.
 */
const inDialog: Readonly<Record<string, string>> = {
  ...unknownCallWords('Unknown call-id', ['answer', 'query', 'delete']),
  ...unknownCallWords('Unknown call-id', ['start recording', 'stop recording', 'pause recording']),
  ...unknownCallWords('Unknown call-ID', ['start forwarding', 'stop forwarding']),
  ...unknownCallWords('Unknown call-ID', ['block DTMF', 'unblock DTMF', 'block media', 'unblock media']),
  ...unknownCallWords('Unknown call-ID', ['silence media', 'unsilence media']),
  ...unknownCallWords('Unknown call-ID', ['play media', 'stop media', 'play DTMF']),
  ...unknownCallWords('Unknown call-ID', ['inject start', 'inject stop']),
  ...unknownCallWords('Unknown call-ID', ['subscribe request', 'subscribe answer', 'unsubscribe']),
  ...unknownCallWords('Unknown call-ID', ['connect', 'mesh', 'create answer']),
};

/** Commands that make one call of several, on their relay. `mesh` names them all in a list. */
const joining: ReadonlySet<string> = new Set(['connect', 'mesh', 'inject start', 'inject stop']);

function unknownCallWords(words: string, commands: readonly string[]): Record<string, string> {
  return Object.fromEntries(commands.map((each) => [each, words]));
}

const sessionLimit = 'Parallel session limit reached';

/** What a command of the ng protocol is for. */
export function actOf(name: string): Act {
  return Object.hasOwn(acts, name)
    ? (acts[name] as Act)
    : Object.hasOwn(inDialog, name)
      ? 'in-dialog'
      : 'unknown';
}

/** Commands that have a name in metrics: those that are known. */
const named: ReadonlySet<string> = new Set([...Object.keys(acts), ...Object.keys(inDialog)]);

/** An ng request. It is answered in its own format, and in rtpengine's words: SIP proxies look at some of the texts. */
export class NgRequest implements ControlRequest {
  readonly protocol = 'ng';
  readonly act: Act;
  readonly command: string;
  readonly callId: Buffer | undefined;
  readonly joinedCallIds: readonly Buffer[];
  /** The protocol has none. */
  readonly notices: readonly string[] = [];
  readonly parties: CallParties | undefined;
  /** The last reply that was judged: who serves a request judges its reply, and so does who counts it. */
  #judged: { readonly reply: Buffer; readonly verdict: Verdict } | undefined;

  constructor(readonly message: NgMessage) {
    const { body } = message;
    this.command = command(body) ?? '';
    this.act = actOf(this.command);
    // One binding for all branches: rtpengine keeps the branches of a call together.
    const listed = joining.has(this.command) ? listOf(body['calls']) : [];
    const callId = bytes(field(body, 'call-id')) ?? listed[0];
    const other = bytes(field(body, 'to-call-id'));
    const isJoined = this.act === 'begin' || joining.has(this.command);
    this.callId = callId;
    this.joinedCallIds = isJoined
      ? [...listed, ...(other ? [other] : [])].filter((each) => !callId?.equals(each))
      : [];
    this.parties = callId && {
      callId,
      fromTag: bytes(field(body, 'from-tag')),
      toTag: bytes(field(body, 'to-tag')),
    };
  }

  get commandName(): string {
    return named.has(this.command) ? this.command : 'other';
  }

  get needs(): readonly string[] {
    return this.act === 'begin' || this.act === 'unknown' ? featuresFor(this.message.body) : [];
  }

  get deleteDelaySeconds(): number | undefined {
    return this.act === 'delete'
      ? wholeNumber(this.message.body, ['delete-delay', 'delete delay'])
      : undefined;
  }

  get body(): Buffer {
    return this.message.raw;
  }

  judge(reply: Buffer): Verdict {
    if (this.#judged?.reply !== reply) {
      this.#judged = { reply, verdict: judgeReply(reply, this) };
    }
    return this.#judged.verdict;
  }

  ok(remark: string): Buffer {
    return this.reply({ result: 'ok', warning: remark });
  }

  error(reason: string): Buffer {
    return this.reply(errorReply(reason));
  }

  unknownCall(): Buffer {
    if (this.act !== 'delete') {
      return this.error(inDialog[this.command] ?? 'Unknown call-id');
    }
    return hasFlag(this.message.body, 'flags', 'fatal')
      ? this.error(deletedNothing)
      : this.ok(deletedNothing);
  }

  /** The mild form, where the sender knows it, is for rtpengine's clients a reason to try the next server. */
  full(reason: string): Buffer {
    return this.reply(
      hasFlag(this.message.body, 'supports', 'load limit')
        ? { result: 'load limit', message: sessionLimit, warning: reason }
        : { ...errorReply(sessionLimit), warning: reason },
    );
  }

  /** In the format of the request. */
  reply(body: NgDictionary): Buffer {
    return encodeBody(body, this.message.format);
  }
}

function listOf(value: NgValue | undefined): Buffer[] {
  return Array.isArray(value) ? value.flatMap((each) => bytes(each) ?? []) : [];
}
