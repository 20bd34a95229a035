import { type Media, ownRequest, type RtpproxyRequest } from '../../control/rtpproxy/request.js';
import { parseTag, tagOf } from '../../control/rtpproxy/tag.js';

/**
 * One stream of a call, as a relay keeps it: between the party that began it and whoever answers. Its key is the Call-ID and the
 * tag of the first; the tag of the other is in no key, so that all answers of a forked call come to one session.
 */
export class Session {
  /** Of the other one, if that may be the one who began it. */
  readonly #otherName: string | undefined;
  /** The last media of the party that began it, and of the other one. */
  #own: Media;
  #other: Media | undefined;
  /** Where a timeout is told, and as what: as the last `U` says, whose ever media it tells. */
  #notify: readonly string[];
  /** As the other party is called, with the number of the stream. */
  #peer: string | undefined;
  /** Those who have answered, and of whom nothing is known to have left, by their tags, with the media that they have told. */
  readonly #peers = new Map<string, Media | undefined>();
  /** Those who have left, and the relay does not know it: they had answered, or might have. */
  readonly #left = new Set<string>();
  /** Branches that were offered: a proxy that forks a call sends a `U` for each. */
  #branches = 0;
  /** When the last one was; by the monotonic clock, ms. */
  #offeredAtMs = 0;

  /** @param tag of the party that began it, with the number of the stream */
  private constructor(
    readonly sessionId: string,
    readonly tag: string,
    own: Media,
    nowMs: number,
  ) {
    this.#own = own;
    this.#otherName = own.to;
    this.#notify = own.notify;
    this.#offer(own, nowMs);
    this.#name(own.to);
  }

  /**
   * By a `U`; undefined if the request begins none.
   * @param nowMs by the monotonic clock
   */
  static begun(request: RtpproxyRequest, nowMs: number): Session | undefined {
    const { media, sessionId } = request;
    return request.name === 'U' && media?.of !== undefined
      ? new Session(sessionId, media.of, media, nowMs)
      : undefined;
  }

  /** Tags that its relay may know it by: a `U` with two is of the session of either, which may have begun elsewhere. */
  get names(): readonly string[] {
    return this.#otherName === undefined ? [this.tag] : [this.tag, this.#otherName];
  }

  /** What it takes in memory, about. */
  get bytes(): number {
    return (
      perSessionBytes +
      this.sessionId.length +
      this.tag.length +
      [this.#own, this.#other, ...this.#peers.values()].reduce((sum, media) => sum + lengthOf(media), 0)
    );
  }

  /** The words in which a relay was told whom to tell of its timeout: none, or both. */
  get notify(): readonly string[] {
    return this.#notify;
  }

  /** Nobody but the party that began it has told its media. */
  get isUnanswered(): boolean {
    return this.#other === undefined;
  }

  /** @returns whether the request is about this session: a relay looks for the first tag, then for the second */
  isNamedBy({ sessionId, tags }: RtpproxyRequest): boolean {
    return sessionId === this.sessionId && tags.includes(this.tag);
  }

  /**
   * A relay has accepted a `U` or `L` about it.
   * @param nowMs by the monotonic clock
   */
  note({ name, media, tags: [first] }: RtpproxyRequest, nowMs: number): void {
    if (!media) {
      return;
    }
    if (name === 'U') {
      this.#notify = media.notify;
    }
    const isOwn = media.of === this.tag || (media.of === undefined && first !== this.tag);
    if (isOwn) {
      this.#own = media;
      if (name === 'U') {
        this.#offer(media, nowMs);
      }
      this.#name(media.to);
    } else {
      this.#other = media;
      this.#name(media.of, media);
    }
  }

  #offer({ to }: Media, nowMs: number): void {
    if (to === undefined) {
      this.#branches++;
      this.#offeredAtMs = nowMs;
      return;
    }
    // Who is named in a request of the dialog is the one who has answered it.
    this.#peers.clear();
    this.#branches = this.#left.size + 1;
  }

  #name(peer: string | undefined, media?: Media): void {
    this.#peer = peer ?? this.#peer;
    if (peer !== undefined && (this.#peers.size < maxPeers || this.#peers.has(tagOf(peer)))) {
      this.#peers.set(tagOf(peer), media ?? this.#peers.get(tagOf(peer)));
    }
  }

  /** Whether a delete is about this session: without the number of a stream it is about all of them. */
  isDeletedBy({ sessionId, tags: [from, to] }: RtpproxyRequest): boolean {
    return sessionId === this.sessionId && (this.#isCalled(from) || (to !== undefined && this.#isCalled(to)));
  }

  #isCalled(word: string): boolean {
    return word === this.tag || (parseTag(word).stream === undefined && word === tagOf(this.tag));
  }

  /**
   * One branch of a forked call is deleted, and another one has answered, or may: the session is theirs, too. A relay would end
   * it for all of them, for it does not look at the tag of the one who has answered.
   * @param nowMs by the monotonic clock
   */
  isLeft({ tags: [from, to] }: RtpproxyRequest, nowMs: number): boolean {
    if (to === undefined) {
      return false;
    }
    const isByOwn = this.#isCalled(from);
    const gone = new Set([...this.#left, tagOf(isByOwn ? to : from)]);
    if ([...this.#peers.keys()].some((peer) => !gone.has(peer))) {
      return true;
    }
    // What forks calls numbers their streams. Others name a party that they have made up themselves: nobody else will answer.
    if (parseTag(this.tag).stream === undefined) {
      return false;
    }
    // Who hangs up has answered the call: no branch of it rings any more.
    const isRinging = isByOwn && this.#branches > gone.size && nowMs - this.#offeredAtMs < ringingMs;
    // Where a single offer was told, the call may have been forked after it.
    return isRinging || (this.#peers.size === 0 && this.#branches <= 1);
  }

  /**
   * Whoever this delete names has left.
   * @returns a request that sends the media to somebody who is still there, if it was the last who answered that has left
   */
  leave({ tags }: RtpproxyRequest): RtpproxyRequest | undefined {
    const left = tags.filter((tag) => tag !== undefined).map(tagOf);
    for (const tag of left.filter((each) => each !== tagOf(this.tag))) {
      this.#peers.delete(tag);
      if (this.#left.size < maxPeers) {
        this.#left.add(tag);
      }
    }
    const isLast = this.#other?.of !== undefined && left.includes(tagOf(this.#other.of));
    const next = [...this.#peers.values()].findLast((media) => media !== undefined);
    if (!isLast || !next) {
      return undefined;
    }
    this.#other = next;
    this.#peer = next.of;
    return ownRequest(this.#answer(next).join(' '));
  }

  /**
   * What ends the session for all at its relay, which may keep the media of each who has answered: a delete that names the party
   * that began it, and nobody else. Undefined if the delete does so as it is.
   */
  endingAll({ modifiers, tags: [from, to] }: RtpproxyRequest): RtpproxyRequest | undefined {
    const own = this.#isCalled(from) ? from : to;
    return this.#left.size > 0 && own !== undefined
      ? ownRequest(`D${modifiers} ${this.sessionId} ${own}`)
      : undefined;
  }

  /** Requests that begin it elsewhere, with the last media of both parties. */
  replay(): RtpproxyRequest[] {
    const { sessionId, tag } = this;
    const { modifiers, address, port } = this.#own;
    const begin = [`U${modifiers}`, sessionId, address, port, tag, ...this.#peerWords, ...this.#notify];
    const answer = this.#other && this.#answer(this.#other);
    return [begin, ...(answer ? [answer] : [])].map((words) => ownRequest(words.join(' ')));
  }

  #answer({ modifiers, address, port }: Media): string[] {
    return [`L${modifiers}`, this.sessionId, address, port, this.tag, ...this.#peerWords];
  }

  get #peerWords(): string[] {
    return this.#peer === undefined ? [] : [this.#peer];
  }
}

const maxPeers = 16;
/** A branch rings until its proxy's Timer C fires: a little more than three minutes (RFC 3261 section 16.6). */
const ringingMs = 200_000;
/** Objects, and the tags of those who have answered. */
const perSessionBytes = 600;

function lengthOf(media: Media | undefined): number {
  const words = media
    ? [media.of, media.to, media.modifiers, media.address, media.port, ...media.notify]
    : [];
  return words.reduce((sum, word) => sum + (word?.length ?? 0), 0);
}
