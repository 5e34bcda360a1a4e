import { AppError } from '../errors.ts'
import { type RemoteHeaders, readRemoteBytes } from './hub-headers.ts'
import type { Hub } from './hub-request.ts'
import { quote } from './quote.ts'

/** The bytes of a hub model's tensors by range requests, for those who look at a few of them. */
export function bytesOfRemote(hub: Hub, remote: RemoteHeaders) {
  return {
    find(name: string) {
      const entry = remote.tensors.get(name)
      return entry ? { shape: entry.shape, byteLength: entry.length } : null
    },
    async read(name: string, start: number, length: number): Promise<Uint8Array> {
      const entry = remote.tensors.get(name)
      if (entry) return readRemoteBytes(hub, remote, entry.file, { offset: entry.offset + start, length })
      throw new AppError('CHECKPOINT_INVALID', `${remote.repo} has no tensor ${quote(name)}`)
    },
  }
}
