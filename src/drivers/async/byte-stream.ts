// An exchange's content as a web stream. A separate file, since both the response and the network stream offer one.
import type { UnderlyingByteSource } from 'node:stream/web'
import type { OwnedBytes } from '../../http/index.ts'
import type { AsyncExchange } from './exchange.ts'

/** A ReadableStream of bytes over an exchange. */
export function byteStream(exchange: AsyncExchange, cancel: () => Promise<void>): ReadableStream<OwnedBytes> {
  const source: UnderlyingByteSource = {
    type: 'bytes',
    async pull(controller) {
      const chunk = await exchange.next()
      if (chunk !== undefined) return controller.enqueue(chunk)
      controller.close()
      controller.byobRequest?.respond(0)
    },
    cancel,
  }
  // Node's types say ArrayBufferLike; what is enqueued is ours.
  return new ReadableStream(source) as ReadableStream<OwnedBytes>
}
