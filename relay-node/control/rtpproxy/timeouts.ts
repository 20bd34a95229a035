import { Notifier } from '../../../services/control/rtpproxy/notifier.js';
import { resolveSelf } from '../../../services/control/rtpproxy/notify-socket.js';
import type { RtpproxyRequest } from '../../../services/control/rtpproxy/request.js';
import type { TimeoutNotice } from '../../../services/control/rtpproxy/timeout-notice.js';
import { formatStreamAddress, parseStreamAddress } from '../../../services/control/stream/address.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { Dialog } from '../../media/dialog.js';
import type { EndedDialog, Sessions } from '../../media/sessions.js';

export interface TimeoutsDeps {
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Whom to tell of the timeout of a session, as its last `U` says. rtpproxy is told at its start which sockets are allowed; here
 * those are of the host that the command comes from.
 */
export class Timeouts {
  readonly #notices = new WeakMap<Dialog, TimeoutNotice>();
  readonly #notifier: Notifier;
  readonly #unsubscribe: () => void;

  constructor({ sessions, clock, log }: TimeoutsDeps) {
    this.#notifier = new Notifier({ clock, log });
    this.#unsubscribe = sessions.ended.add((ended) => this.#ended(ended));
  }

  stop(): void {
    this.#unsubscribe();
    this.#notifier.stop();
  }

  /** A `U` has been accepted. @param source address that it came from */
  note(dialog: Dialog, { notify: [named = '', tag] }: RtpproxyRequest, source: string): void {
    const socket = parseStreamAddress(resolveSelf(named, source));
    if (tag !== undefined && socket && 'host' in socket && socket.host === source) {
      this.#notices.set(dialog, { socket: formatStreamAddress(socket), tag });
    } else {
      this.#notices.delete(dialog);
    }
  }

  /** A session ends with the last of those who have answered it. */
  #ended({ call, dialog, reason }: EndedDialog): void {
    const notice = this.#notices.get(dialog);
    const other = [...call.dialogs].find(({ tags }) => tags[0] === dialog.tags[0]);
    if (notice && other) {
      this.#notices.set(other, notice);
    } else if (notice && reason !== 'deleted') {
      this.#notifier.tell(notice);
    }
  }
}
