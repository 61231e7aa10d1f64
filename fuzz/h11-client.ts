// Any bytes as the answer to a request. The first byte says which method asked.
import { H11Connection } from '../src/h11/index.ts'
import { latin1, sameHoweverCut } from './lib/machine.ts'

export const seeds: readonly Uint8Array[] = [
  'GHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
  'GHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n',
  'HHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n',
  'CHTTP/1.1 200 OK\r\n\r\nleading',
  'GHTTP/1.0 200 OK\r\n\r\nuntil the end',
].map(latin1)

export function fuzz(input: Uint8Array): void {
  const method = input[0] === 0x48 ? 'HEAD' : input[0] === 0x43 ? 'CONNECT' : 'GET'
  sameHoweverCut(input.subarray(1), () => {
    const machine = new H11Connection('client', { now: 0, limits: { maxHeadBytes: 512, maxHeaderCount: 8 } })
    const target = method === 'CONNECT' ? 'h:1' : '/'
    machine.sendRequest({ method, authority: target === '/' ? 'h' : target, target, headers: [] }, { end: true })
    machine.takeOutput()
    return machine
  })
}
