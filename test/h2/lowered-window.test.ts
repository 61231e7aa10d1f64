// A receiver that lowers SETTINGS_INITIAL_WINDOW_SIZE while content is on its way: credit that was too little to announce
// under the large window must be announced under the small one, or the sender waits for ever. RFC 9113 §6.9.2.
import { expect, it } from 'vitest'
import { H2Connection } from '../../src/h2/index.ts'

it.each([1, 1_000, 16_384])('a window lowered to %i in the middle lets all content through', (window) => {
  const client = new H2Connection('client', { now: 0 })
  const server = new H2Connection('server', { now: 0, limits: { streamWindow: 40_000, connectionWindow: 100_000 } })
  const lengths = [window === 1 ? 40_100 : 65_483, 53]
  const received = new Map<number, number>()
  const ids = lengths.map((length) => {
    const head = {
      method: 'POST',
      scheme: 'http',
      authority: 'h',
      target: '/',
      headers: [],
      content: 'unknown',
    } as const
    const id = client.sendRequest(head)
    client.sendData(id, new Uint8Array(length), true)
    return id
  })
  server.updateSettings({ initialWindowSize: window }, 0)
  for (let moved = true; moved; ) {
    const sent = client.takeOutput()
    for (const bytes of sent) server.receiveData(bytes, 0)
    for (let event = server.nextEvent(); event !== undefined; event = server.nextEvent()) {
      if (event.type !== 'data') continue
      received.set(event.exchange, (received.get(event.exchange) ?? 0) + event.data.length)
      server.consume(event.exchange, event.data.length)
    }
    const answered = server.takeOutput()
    for (const bytes of answered) client.receiveData(bytes, 0)
    while (client.nextEvent() !== undefined);
    moved = sent.length + answered.length > 0
  }
  expect(ids.map((id) => received.get(id))).toEqual(lengths)
})
