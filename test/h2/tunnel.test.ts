// A tunnel over one stream: what goes through it was promised by nobody. RFC 9110 §9.3.6, RFC 8441 §5.
import { expect, it } from 'vitest'
import { H2Connection } from '../../src/h2/index.ts'

it.each([undefined, 'websocket'])('CONNECT without content, protocol %s: bytes go both ways', (protocol) => {
  const client = new H2Connection('client', { now: 0 })
  const server = new H2Connection('server', { now: 0, settings: { enableConnectProtocol: 1 } })
  const flush = (from: H2Connection, to: H2Connection): void => {
    for (const bytes of from.takeOutput()) to.receiveData(bytes, 0)
  }
  const next = (machine: H2Connection, type: string): ReturnType<H2Connection['nextEvent']> => {
    for (let event = machine.nextEvent(); event !== undefined; event = machine.nextEvent()) {
      if (event.type === type) return event
    }
    throw new Error(`no ${type}`)
  }
  flush(server, client)
  next(client, 'settings')
  const authority = 'a.example:443'
  const stream = client.sendRequest({
    method: 'CONNECT',
    scheme: 'https',
    authority,
    target: protocol === undefined ? authority : '/',
    headers: {},
    content: 'none',
    protocol,
  })
  flush(client, server)
  next(server, 'request')
  server.sendResponse(stream, { status: 200, headers: {} })
  server.sendData(stream, new Uint8Array([1]))
  client.sendData(stream, new Uint8Array([2]))
  flush(server, client)
  flush(client, server)
  expect(next(client, 'data')).toMatchObject({ data: new Uint8Array([1]) })
  expect(next(server, 'data')).toMatchObject({ data: new Uint8Array([2]) })
})
