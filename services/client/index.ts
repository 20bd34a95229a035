/** `holdfast/client`: everything that it exports. */
export { credentials, status } from '@grpc/grpc-js';
export {
  type Event,
  EventSeverity,
  type GetStatusResponse,
  type GoneRelay,
  type ListBindingsResponse,
  type ListRelaysResponse,
  type Relay,
  type RelayBindings,
  type RelayIntent,
  RelayKind,
  type RelayLoad,
  RelayState,
  type SetIntentRequest,
  type SetIntentResponse,
  StatusLevel,
  type WatchEventsRequest,
  type WatchEventsResponse,
  type WatchRelaysResponse,
  WatchRelaysResponse_Type as RelayEvent,
} from '../../proto/generated/holdfast/v1/relay.js';
export {
  type Binding,
  type CallMove,
  CallState,
  Freshness,
  type LookupRequest,
  type LookupResponse,
  type MoveRequest,
  type MoveResponse,
  Origin,
  type ReleaseRequest,
  type ReleaseResponse,
  type SelectRequest,
  type SelectResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
export { HoldfastClient, type HoldfastClientOptions } from './client.js';
export type { Fields } from './requests.js';
export { HoldfastRpcError } from './rpc-error.js';
export type { SelectStream } from './select-stream.js';
