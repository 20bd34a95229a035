import { Server, ServerCredentials, type ServerDuplexStream, type ServiceDefinition } from '@grpc/grpc-js';

/**
 * The cost of grpc-js alone: answers every request with a fixed number of bytes, without protobuf. Arguments: port, size of
 * a unary answer, size of a stream's answer, both in bytes.
 */
const [port = 0, unaryBytes = 0, streamBytes = 0] = process.argv.slice(2).map(Number);

const asItIs = {
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
};
const service = {
  unary: { path: '/bench.Echo/Unary', requestStream: false, responseStream: false, ...asItIs },
  stream: { path: '/bench.Echo/Stream', requestStream: true, responseStream: true, ...asItIs },
} satisfies ServiceDefinition;

const unaryAnswer = Buffer.alloc(unaryBytes, 0x2e);
const streamAnswer = Buffer.alloc(streamBytes, 0x2e);

// The same options as a replica's server.
const server = new Server({
  'grpc.max_receive_message_length': 64 * 1024,
  'grpc.max_concurrent_streams': 10_000,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
});
server.addService(service, {
  unary: (_call: unknown, callback: (error: null, answer: Buffer) => void) => callback(null, unaryAnswer),
  stream: (stream: ServerDuplexStream<Buffer, Buffer>) => {
    stream.on('data', () => stream.write(streamAnswer));
    stream.on('end', () => stream.end());
    stream.on('error', () => {});
  },
});
server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error) {
    throw error;
  }
  process.stdout.write('listening\n');
});
