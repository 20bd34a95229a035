/**
 * What one party of a call does, step by step, in sipp's language. Each step is a piece of a scenario; the other requests of
 * a dialog take the name that the dialog was given when it began. sipp is told three keys: `audio`, the port of its media;
 * `route`, the proxies on the way; and `service`, the name in its Contact.
 */
export type Step = string;

export interface DialogOptions {
  /** Which dialog of the call; forked calls have several. */
  readonly dialog?: string;
  readonly cseq?: number;
}

export interface MediaOptions {
  /** Whether the message has SDP. */
  readonly sdp?: boolean;
  /** Further headers, or lines of the SDP. */
  readonly headers?: readonly string[];
  readonly attributes?: readonly string[];
  /** By default RTP/AVP. */
  readonly transport?: string;
  /** By default PCMA. */
  readonly payloadType?: 0 | 8;
}

/** The request that is written down, with the media address in its SDP or in the SDP of its answer. */
export interface NoteOptions {
  readonly note?: string;
}

/** The name that a caller or callee gives itself, with its tag. */
export interface Party {
  readonly self: string;
}

export const caller: Party = { self: '<sip:[service]@[local_ip]:[local_port]>;tag=[pid]u[call_number]' };
export const callee: Party = { self: '[$local];tag=[pid]c[call_number]' };

/** @param name what it is about */
export function sippScenario(name: string, steps: readonly Step[]): string {
  const text = steps.join('\n');
  const variables = [...text.matchAll(/assign_to="([^"]+)"/g)].flatMap(([, names = '']) => names.split(','));
  const reference =
    variables.length > 0 ? `<Reference variables="${[...new Set(variables)].join(',')}"/>` : '';
  return [
    '<?xml version="1.0" encoding="ISO-8859-1" ?>',
    '<!DOCTYPE scenario SYSTEM "sipp.dtd">',
    `<scenario name="${name}">`,
    text,
    reference,
    '</scenario>',
    '',
  ].join('\n');
}

/** Waits until the test lets the call continue. Not between a request and the response to it, which is made from what came last. */
export const held = (): Step => '<recv request="OPTIONS"/>';

export const pause = (ms: number): Step => `<pause milliseconds="${ms}"/>`;

/** An INVITE that begins a dialog. */
export function invites({ cseq = 1, ...media }: DialogOptions & MediaOptions = {}): Step {
  return send(
    [
      'INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0',
      via(`INVITE-${cseq}`),
      `From: ${caller.self}`,
      'To: <sip:[service]@[remote_ip]:[remote_port]>',
      'Call-ID: [call_id]',
      `CSeq: ${cseq} INVITE`,
      contact,
      'Max-Forwards: 70',
      ...withMedia(media, cseq),
    ],
    starting(`INVITE-${cseq}`),
  );
}

/** Such an INVITE is refused. */
export function refused(
  status: number,
  { cseq = 1, note = 'refused' }: DialogOptions & NoteOptions = {},
): Step {
  return [
    provisional(`INVITE-${cseq}`),
    receiveResponse(status, `INVITE-${cseq}`, { dialog: 'refused' }),
    send(
      [
        'ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0',
        via(`INVITE-${cseq}`),
        `From: ${caller.self}`,
        'To: [$refused_remote]',
        'Call-ID: [call_id]',
        `CSeq: ${cseq} ACK`,
        'Max-Forwards: 70',
        'Content-Length: 0',
      ],
      confirming(`INVITE-${cseq}`),
    ),
    `<nop><action><log message="[call_id] ${note} - 0"/></action></nop>`,
  ].join('\n');
}

/** Its 200 begins a dialog. With `sdp` the ACK has SDP: the answer to a late offer. */
export function accepted(options: DialogOptions & MediaOptions & NoteOptions = {}): Step {
  const { dialog = 'call', cseq = 1, note, sdp = false } = options;
  return [
    provisional(`INVITE-${cseq}`),
    receiveResponse(200, `INVITE-${cseq}`, { dialog, ...(note === undefined ? {} : { note }) }),
    send(
      inDialog(caller, 'ACK', `ACK-${dialog}-${cseq}`, { dialog, cseq }, { sdp }),
      confirming(`INVITE-${cseq}`),
    ),
  ].join('\n');
}

/** A re-INVITE and all that belongs to it. */
export function reinvites(
  party: Party,
  { dialog = 'call', cseq = 2, note = 're-INVITE' }: DialogOptions & NoteOptions = {},
): Step {
  const transaction = `INVITE-${dialog}-${cseq}`;
  return [
    send(inDialog(party, 'INVITE', transaction, { dialog, cseq }, { sdp: true }), starting(transaction)),
    provisional(transaction),
    receive(`response="200" response_txn="${transaction}"`, noteOf(note)),
    send(
      inDialog(party, 'ACK', `ACK-${dialog}-${cseq}`, { dialog, cseq }, { sdp: false }),
      confirming(transaction),
    ),
  ].join('\n');
}

export function hangsUp(
  party: Party,
  { dialog = 'call', cseq = 9, note = 'ended' }: DialogOptions & NoteOptions = {},
): Step {
  const transaction = `BYE-${dialog}-${cseq}`;
  return [
    send(inDialog(party, 'BYE', transaction, { dialog, cseq }, { sdp: false }), starting(transaction)),
    provisional(transaction),
    receive(`response="200" response_txn="${transaction}"`, [`<log message="[call_id] ${note} - 0"/>`]),
  ].join('\n');
}

/** The suite that every SRTP phone has (RFC 4568 section 6.2). */
const suite = 'AES_CM_128_HMAC_SHA1_80';
const cryptoTag = `<ereg regexp="a=crypto:([0-9]+) ${suite}" search_in="body" check_it="true" assign_to="c,crypto"/>`;

/** The answer to an offer of SRTP, whose tag `invited` has read with `crypto`. */
export const withSrtp: MediaOptions = {
  transport: 'RTP/SAVP',
  attributes: [`a=crypto:[$crypto] ${suite} inline:${Buffer.alloc(30, 7).toString('base64')}`],
};

/** The callee receives an INVITE that begins a dialog. */
export function invited({
  dialog = 'call',
  note,
  crypto = false,
}: DialogOptions & NoteOptions & { readonly crypto?: boolean } = {}): Step {
  return receive('request="INVITE"', [
    header('From:', `${dialog}_remote`),
    header('To:', 'local'),
    ...target(dialog),
    ...(note === undefined ? [] : noteOf(note)),
    ...(crypto ? [cryptoTag] : []),
  ]);
}

/** @param status the response's, to the request that came last, which begins a dialog */
export function answers(status: number, { sdp = true, ...media }: MediaOptions = {}): Step {
  return send(
    response(status, `[last_To:];tag=[pid]c[call_number]`, withMedia({ sdp, ...media }, 1)),
    status >= 200 ? undefined : once,
  );
}

/** The callee refuses; its proxy confirms that. */
export const refuses = (status: number, headers: readonly string[] = []): Step =>
  [answers(status, { sdp: false, headers }), receive('request="ACK"')].join('\n');

/** @param options `note`, if the ACK has the answer to a late offer */
export const acked = ({ note }: NoteOptions = {}): Step =>
  receive('request="ACK"', note === undefined ? [] : noteOf(note));

export function reinvited({ note = 're-INVITE' }: NoteOptions = {}): Step {
  return [
    receive('request="INVITE"', noteOf(note)),
    send(response(200, '[last_To:]', withMedia({ sdp: true }, 2))),
    receive('request="ACK"'),
  ].join('\n');
}

/** Its retransmissions are answered for a while. */
export function hungUp({ note = 'ended' }: NoteOptions = {}): Step {
  return [
    receive('request="BYE"', [`<log message="[call_id] ${note} - 0"/>`]),
    send(response(200, '[last_To:]', ['Content-Length: 0']), once),
  ].join('\n');
}

/** The other phone was faster: the INVITE is canceled, and ends with 487. */
export function canceled({ note = 'ended' }: NoteOptions = {}): Step {
  return [
    receive('request="CANCEL"'),
    send(response(200, '[last_To:];tag=[pid]c[call_number]', ['Content-Length: 0']), once),
    send([
      'SIP/2.0 487 Request Terminated',
      '[last_Via:]',
      '[last_From:]',
      '[last_To:];tag=[pid]c[call_number]',
      '[last_Call-ID:]',
      'CSeq: [last_cseq_number] INVITE',
      'Content-Length: 0',
    ]),
    receive('request="ACK"', [`<log message="[call_id] ${note} - 0"/>`]),
  ].join('\n');
}

const contact = 'Contact: <sip:[service]@[local_ip]:[local_port]>';

/** The branch of a transaction; the ACK of a refusal has that of its INVITE. */
function via(transaction: string): string {
  return `Via: SIP/2.0/UDP [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number]-${transaction}`;
}

function inDialog(
  { self }: Party,
  method: string,
  transaction: string,
  { dialog, cseq }: Required<DialogOptions>,
  media: MediaOptions,
): string[] {
  return [
    `${method} [$${dialog}_target] SIP/2.0`,
    via(transaction),
    `From: ${self}`,
    `To: [$${dialog}_remote]`,
    'Route: [route]',
    'Call-ID: [call_id]',
    `CSeq: ${cseq} ${method}`,
    contact,
    'Max-Forwards: 70',
    ...withMedia(media, cseq),
  ];
}

function response(status: number, to: string, rest: readonly string[]): string[] {
  return [
    `SIP/2.0 ${status} ${status < 300 ? 'OK' : 'Refused'}`,
    '[last_Via:]',
    '[last_From:]',
    to,
    '[last_Call-ID:]',
    '[last_CSeq:]',
    contact,
    ...rest,
  ];
}

function withMedia(
  { sdp = true, headers = [], attributes = [], transport = 'RTP/AVP', payloadType = 8 }: MediaOptions,
  version: number,
): string[] {
  if (!sdp) {
    return [...headers, 'Content-Length: 0'];
  }
  return [
    ...headers,
    'Content-Type: application/sdp',
    'Content-Length: [len]',
    '',
    'v=0',
    `o=phone 1 ${version} IN IP4 [local_ip]`,
    's=call',
    'c=IN IP4 [local_ip]',
    't=0 0',
    `m=audio [audio] ${transport} ${payloadType}`,
    `a=rtpmap:${payloadType} ${payloadType === 0 ? 'PCMU' : 'PCMA'}/8000`,
    ...attributes,
  ];
}

/** @param attributes of a message that is repeated until it is answered, unless they say otherwise */
function send(lines: readonly string[], attributes = 'retrans="500"'): Step {
  const body = lines.includes('') ? '' : '\n';
  return `<send ${attributes}><![CDATA[\n${lines.join('\n')}\n${body}]]></send>`;
}

/**
 * A request and the responses to it: matched by transaction, so that a repeated 200 to an INVITE is not taken for that of the
 * BYE.
 */
const starting = (transaction: string): string => `retrans="500" start_txn="${transaction}"`;
const confirming = (transaction: string): string => `ack_txn="${transaction}"`;
const once = '';

function receive(what: string, actions: readonly string[] = []): Step {
  return actions.length === 0
    ? `<recv ${what}/>`
    : `<recv ${what}><action>${actions.join('')}</action></recv>`;
}

function provisional(transaction: string): Step {
  const each = (status: number) =>
    `<recv response="${status}" optional="true" response_txn="${transaction}"/>`;
  return [100, 180, 183].map(each).join('\n');
}

function receiveResponse(
  status: number,
  transaction: string,
  { dialog, note }: { dialog: string; note?: string },
): Step {
  return receive(`response="${status}" response_txn="${transaction}"`, [
    header('To:', `${dialog}_remote`),
    ...(status < 300 ? target(dialog) : []),
    ...(note === undefined ? [] : noteOf(note)),
  ]);
}

function header(name: string, variable: string): string {
  return `<ereg regexp=".*" search_in="hdr" header="${name}" check_it="true" assign_to="${variable}"/>`;
}

function target(dialog: string): string[] {
  return [
    `<ereg regexp="sip:[^;&gt;]+" search_in="hdr" header="Contact:" check_it="true" assign_to="${dialog}_target"/>`,
  ];
}

function noteOf(note: string): string[] {
  return [
    '<ereg regexp="c=IN IP4 ([0-9.]+)" search_in="body" check_it="true" assign_to="c,address"/>',
    '<ereg regexp="m=audio ([0-9]+)" search_in="body" check_it="true" assign_to="m,port"/>',
    `<log message="[call_id] ${note} [$address] [$port]"/>`,
  ];
}
