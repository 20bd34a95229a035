import type { RtpproxyRequest } from '../../../services/control/rtpproxy/request.js';
import { parseTag } from '../../../services/control/rtpproxy/tag.js';
import type { Call } from '../../media/call.js';
import type { Dialog } from '../../media/dialog.js';
import type { Side } from '../../media/side.js';

/**
 * What rtpproxy calls a session: one stream of a call, known by the tag of the party that began it, with the stream's number.
 * Here it is a dialog of one stream, and another dialog for each further party that answers. A Via branch behind the
 * Call-ID is part of the tags, so that all branches are one call.
 */
export interface SessionNames {
  readonly callId: string;
  readonly from: string;
  /** Undefined if the command does not name the second party. */
  readonly to: string | undefined;
}

export function namesOf(request: RtpproxyRequest): SessionNames {
  const callId = request.callId?.toString('latin1') ?? '';
  const branch = request.sessionId.slice(callId.length);
  const [from, to] = request.tags;
  return { callId, from: from + branch, to: to === undefined ? undefined : to + branch };
}

/** A party of a dialog, as a command names it. */
export interface NamedParty {
  readonly dialog: Dialog;
  readonly side: Side;
}

/**
 * The dialog that a command is about, and the side of its first tag: the session of the first tag, else that of the second. If
 * several have answered, that of the one who is named, else the newest.
 */
export function findParty(call: Call, { from, to }: SessionNames): NamedParty | undefined {
  for (const [tag, other, side] of [
    [from, to, 0],
    [to, from, 1],
  ] as const) {
    const own = [...call.dialogs].filter(({ tags }) => tags[0] === tag);
    const dialog = own.find(({ tags }) => tags[1] === other) ?? own.at(-1);
    if (dialog) {
      return { dialog, side };
    }
  }
  return undefined;
}

/**
 * Whom a `D` ends; undefined if it names no session. Without the number of a stream it names all of them. rtpproxy does not
 * look at the second party's tag, so that the `D` of a branch that has lost silences the one that has won: here it ends no
 * more than the dialog with that party.
 */
export function partiesToEnd(call: Call, request: RtpproxyRequest): NamedParty[] | undefined {
  const { from, to } = namesOf(request);
  const branch = from.slice(request.tags[0].length);
  const named: { readonly party: NamedParty; readonly peer: string | undefined }[] = [];
  for (const dialog of call.dialogs) {
    if (isNamed(dialog.tags[0], from, branch)) {
      named.push({ party: { dialog, side: 0 }, peer: to });
    } else if (to !== undefined && isNamed(dialog.tags[0], to, branch)) {
      named.push({ party: { dialog, side: 1 }, peer: from });
    }
  }
  if (named.length === 0) {
    return undefined;
  }
  const ofPeer = named.filter(
    ({ party: { dialog }, peer }) => peer === undefined || isNamed(dialog.tags[1] ?? '', peer, branch),
  );
  const chosen =
    ofPeer.length > 0 ? ofPeer : named.filter(({ party }) => cannotBeForked(party.dialog, branch));
  return chosen.map(({ party }) => party);
}

/** `from` names `from`, and `from;2`. */
function isNamed(tag: string, name: string, branch: string): boolean {
  if (tag === name) {
    return true;
  }
  const stem = name.slice(0, name.length - branch.length);
  return (
    tag.startsWith(`${stem};`) &&
    tag.endsWith(branch) &&
    /^;\d+$/.test(tag.slice(stem.length, tag.length - branch.length))
  );
}

/**
 * Nobody has said a name yet, and nobody else can answer: proxies that fork calls number the streams, and others name a party
 * that they have made up themselves.
 */
function cannotBeForked({ tags: [own, peer] }: Dialog, branch: string): boolean {
  const hasNumber = parseTag(own.slice(0, own.length - branch.length)).stream !== undefined;
  return peer === '' || (peer === undefined && !hasNumber);
}
