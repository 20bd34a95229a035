import { status } from '@grpc/grpc-js';
import { messageOf } from '../domain/error.js';
import { EtcdTrustError, staleTokenText } from './errors.js';

/**
 * Statuses with which etcd answers a request, rather than failing to: every healthy member would say the same
 * (etcd's api/v3rpc/rpctypes/error.go). The comments name the errors that Holdfast can meet.
 */
const answers: ReadonlySet<status> = new Set([
  // The request is malformed or too large, or the login is wrong.
  status.INVALID_ARGUMENT,
  // The lease does not exist.
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
  status.PERMISSION_DENIED,
  // The revision was compacted, or the TTL is too large.
  status.OUT_OF_RANGE,
]);

/** Answers among the errors with other statuses: authentication off, the space quota, gRPC's message limits. */
const answerTexts = /authentication is not enabled|database space exceeded|message larger than max/;

/** No answers, despite their status: the users that the member knows are not those that issued the token. */
const memberTexts = new RegExp(`revision of auth store is old|${staleTokenText}`);

/**
 * Whether a failed call was answered. If not, another member may do better, whatever the reason: this one is down, slow,
 * a learner, without a leader, behind the others, corrupt, of another cluster, or not an etcd at all. Unknown errors
 * are of this kind, so that no error can tie a process to a member that is of no use.
 */
export function isAnswer(thrown: unknown): boolean {
  const error = thrown instanceof EtcdTrustError ? thrown.cause : thrown;
  const text = messageOf(error);
  if (memberTexts.test(text)) {
    return false;
  }
  const code = statusOf(error);
  return (code !== undefined && answers.has(code)) || answerTexts.test(text);
}

/** Nobody has said anything, not even that something is wrong. */
export function isSilence(error: unknown): boolean {
  const code = statusOf(error);
  return code === status.DEADLINE_EXCEEDED || code === status.UNAVAILABLE;
}

/** From the text of grpc-js, `CODE NAME: details`, which etcd3's own errors keep; some begin with "Lease". */
function statusOf(error: unknown): status | undefined {
  const [, digits] = /^(?:Lease )?(\d+) [A-Z_]+: /.exec(messageOf(error)) ?? [];
  return digits === undefined ? undefined : (Number(digits) as status);
}
