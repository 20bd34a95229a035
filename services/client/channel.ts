import type { ChannelOptions } from '@grpc/grpc-js';

/** The recommended settings of a gRPC channel to Holdfast, each with its reason. */
export const channelOptions: ChannelOptions = {
  // gRPC's default is to use one address of a name and leave the other replicas idle.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // A replica whose machine has died sends no FIN: without pings TCP needs minutes to notice.
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 1000,
  // Notice it before the next call does.
  'grpc.keepalive_permit_without_calls': 1,
  // A replica that is back gets its share of the calls within this time; the default is two minutes.
  'grpc.max_reconnect_backoff_ms': 5000,
};
