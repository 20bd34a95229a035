import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import type { PackageDefinition } from '@grpc/proto-loader';

const path = 'proto/generated/descriptors.binpb';

/**
 * What server reflection serves: the descriptors that buf writes at build time, each file with its imports. proto-loader
 * would merge all files of a package and lose their imports, which grpcurl then cannot resolve.
 */
export function describedServices(): PackageDefinition {
  const fileDescriptorProtos = filesOf(readFileSync(join(packageRoot(), path)));
  return {
    holdfast: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos },
  } as never;
}

/** The members of a google.protobuf.FileDescriptorSet: `repeated FileDescriptorProto file = 1`. */
function filesOf(set: Buffer): Buffer[] {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1 && wireType === WireType.LengthDelimited) {
      files.push(Buffer.from(reader.bytes()));
    } else {
      reader.skip(wireType, field);
    }
  }
  return files;
}

/** The directory that holds both the compiled code and the descriptors. */
function packageRoot(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    if (existsSync(join(at, path))) {
      return at;
    }
    if (at === dirname(at)) {
      throw new Error(`${path} is missing from this installation`);
    }
  }
}
