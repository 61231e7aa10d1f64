// Any bytes as requests.
import { H11Connection } from '../src/h11/index.ts'
import { latin1, sameHoweverCut } from './lib/machine.ts'

export const seeds: readonly Uint8Array[] = [
  'GET / HTTP/1.1\r\nHost: h\r\n\r\n',
  'POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello',
  'PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n',
  'CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nleading',
  'OPTIONS * HTTP/1.0\r\n\r\n',
].map(latin1)

export function fuzz(input: Uint8Array): void {
  sameHoweverCut(input, () => new H11Connection('server', { now: 0, limits: { maxHeadBytes: 512, maxHeaderCount: 8 } }))
}
