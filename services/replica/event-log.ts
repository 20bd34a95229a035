import type { EventListener, EventType } from '../domain/events.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger, LogLevel } from '../runtime/log.js';
import { LineBudget } from './line-budget.js';

/** Level and text of each event's log line. */
const lines: Record<EventType, readonly [LogLevel, string]> = {
  callBound: ['debug', 'call bound'],
  callMoved: ['info', 'call moved'],
  callAnswered: ['debug', 'call answered'],
  callReleased: ['debug', 'call released'],
  callAdopted: ['info', 'call adopted: a relay carries it, and etcd did not know it'],
  callReasserted: ['debug', 'call bound again: etcd had lost it'],
  callOnTwoRelays: ['warn', 'two relays carry one call'],
  promiseKept: ['debug', 'provisional call bound where it was promised'],
  promiseBroken: ['warn', 'provisional call is on another relay than promised'],
  promiseDropped: ['warn', 'provisional call cannot be bound'],
  promisesReconciled: ['info', 'provisional bindings reconciled'],
  relayJoined: ['info', 'relay joined'],
  relayStateChanged: ['info', 'relay state changed'],
  relaySuspect: ['debug', 'relay vanished along with many others; checking again first'],
  relayBack: ['debug', 'relay that had vanished with many others is registered'],
  relayRestarted: ['warn', 'relay has a new instance; the calls of its previous one move'],
  relayWeightChanged: ['info', 'relay weight changed'],
  relayFull: ['warn', 'relay is full'],
  relayHasRoom: ['info', 'relay has room again'],
  relayLeft: ['warn', 'relay left'],
  // With its reason where it is refused.
  callRefused: ['silent', ''],
  etcdLost: ['warn', 'etcd lost: known calls are answered from memory'],
  etcdBack: ['info', 'etcd answers again'],
  historyChanged: ['warn', 'etcd may have lost bindings; writing remembered ones again'],
  bindingsReasserted: ['info', 'remembered bindings written again'],
  // With the values where they are compared.
  settingsDiffer: ['silent', ''],
  // With the files where they are read.
  certificatesChanged: ['silent', ''],
  certificatesInvalid: ['silent', ''],
  certificateExpires: ['silent', ''],
};

/** Writes a line for each event, up to so many of one kind; those beyond are told as a number, in one line. */
export function logEvents(log: Logger, clock: Clock): EventListener {
  const budgets = new Map<EventType, LineBudget>();
  return (event) => {
    const { type, details } = event;
    const [usual, message] = lines[type];
    const level = event.type === 'relayLeft' && event.details.isOrderly ? 'info' : usual;
    if (level === 'silent' || !log.isLevelEnabled(level)) {
      return;
    }
    let budget = budgets.get(type);
    if (!budget) {
      budget = new LineBudget(clock, (more) => log[level]({ more }, message));
      budgets.set(type, budget);
    }
    if (budget.spend()) {
      log[level](details, message);
    }
  };
}
